"""The worker's pure parts."""
