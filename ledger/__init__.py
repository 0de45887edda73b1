"""The ledger: pure rules, and the append-only log in one hash chain."""
