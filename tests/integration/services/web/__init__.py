"""The web process over HTTP."""
