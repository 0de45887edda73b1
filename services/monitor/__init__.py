"""Fails and refunds what passed its deadline; reads Postgres only."""
