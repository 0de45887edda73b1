"""Signing checkpoints of log and read models, and holding them against the log later."""
