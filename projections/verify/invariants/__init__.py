"""The rules that the events must keep, checked without the ledger's own code."""
