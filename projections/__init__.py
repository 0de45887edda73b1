"""Projections: read models folded from the log, and audits of both.

A projection (`engine.projection.Projection`) names its row, its key and its fold; `engine` keeps its table,
`rebuild` makes it anew, `verify` compares it with the log.
"""
