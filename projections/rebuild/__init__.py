"""Rebuild of read models beside the live ones: compare and swap."""
