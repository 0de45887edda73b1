"""Drills: what may be struck, and what counts as kept."""
