"""Postgres goes back in time under everything that runs."""
