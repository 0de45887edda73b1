"""Read models: each one question, answered by a pure fold over the log and a table that holds its rows.

A projection (`projection.Projection`) names its row, its key and its fold. `runner` applies events to the
live table, `rebuild` makes a fresh table beside it, `root` gives one hash over all rows, `check` compares
them with the log. `books` keeps no table: it is the double entry view of the credit events.
"""
