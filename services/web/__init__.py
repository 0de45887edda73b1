"""Webhooks in; the dashboard."""
