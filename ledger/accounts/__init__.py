"""Accounts: what may happen to credits, lot by lot."""
