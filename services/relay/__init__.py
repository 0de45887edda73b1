"""Publishes the log to the streams."""
