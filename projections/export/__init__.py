"""Export of the log to a file, and its offline verification."""
