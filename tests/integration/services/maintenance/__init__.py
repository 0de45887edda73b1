"""Maintenance on a real Postgres."""
