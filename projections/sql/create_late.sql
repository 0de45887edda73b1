-- Beside a fresh table: rows of the log's second half that began in its first.
CREATE UNLOGGED TABLE {late} (LIKE {fresh} INCLUDING ALL)
