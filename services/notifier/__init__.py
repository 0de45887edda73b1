"""Tells sellers how their jobs end."""
