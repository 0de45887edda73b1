"""The processes, and what they share."""
