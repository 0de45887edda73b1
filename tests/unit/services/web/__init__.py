"""The web process's pure parts."""
