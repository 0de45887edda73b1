"""Buying credits: packages, orders, settlement, refunds, reconciliation."""
