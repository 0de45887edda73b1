"""Backups of everything that cannot be computed again, and ways back."""
