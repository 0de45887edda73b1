"""Backups: what can be decided without a server."""
