"""Keeps the projections up to date."""
