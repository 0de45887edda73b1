"""The log as a file, for whoever wants to check it without us: written in constant memory, checked offline.

`write` lets Postgres format the rows, `manifest` says beside the file what is in it, `verify` checks both.
Each row carries the exact text of `data`, so that the hash chain can be checked from the file alone.
"""
