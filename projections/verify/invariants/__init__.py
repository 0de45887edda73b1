"""Invariants of the log, checked without the ledger's code."""
