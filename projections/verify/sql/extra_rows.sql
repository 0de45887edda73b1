-- Rows of a read model whose stream does not begin in the log up to its cursor.
-- $1 what the stream's name begins with, $2 the cursor's position
SELECT t.{key} FROM {table} t
WHERE NOT EXISTS (SELECT FROM events e WHERE e.stream = $1 || t.{key} AND e.version = 1 AND e.position <= $2)
LIMIT 6
