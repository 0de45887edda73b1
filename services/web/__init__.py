"""HTTP: webhooks and file downloads."""
