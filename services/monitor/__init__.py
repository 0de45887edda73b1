"""Fails and refunds what passed its deadline; needs Postgres alone."""
