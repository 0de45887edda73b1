"""Clients of the outside companies' APIs."""
