"""Job deadlines and credit expiry; needs Postgres alone."""
