"""Personal data of accounts, and its erasure."""
