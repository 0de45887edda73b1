-- Lock the active version's cursor for this transaction. No row: there is none, or the active version was just
-- swapped while we waited (ask again). Also what the log holds at another position.
-- $1 name, $2 a position
SELECT c.version, c.position, c.hash, (SELECT e.hash FROM events e WHERE e.position = $2) AS log_hash
FROM cursors c WHERE c.name = $1 AND c.active FOR UPDATE OF c
