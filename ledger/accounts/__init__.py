"""Accounts: credits, lot by lot."""
