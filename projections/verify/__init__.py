"""Verify log, books and read models, independently of the deciders."""
