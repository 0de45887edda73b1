"""What is done on a schedule and needs more than Postgres."""
