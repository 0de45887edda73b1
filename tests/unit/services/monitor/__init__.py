"""The monitor without its server."""
