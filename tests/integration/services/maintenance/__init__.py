"""The monitor on a real Postgres."""
