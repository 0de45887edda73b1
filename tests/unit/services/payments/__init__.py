"""Packages and the pure parts of the payment desk."""
