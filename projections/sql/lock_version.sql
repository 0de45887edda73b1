-- Lock one version's cursor for this transaction. $1 name, $2 a position in the log, $3 version
SELECT c.version, c.position, c.hash, (SELECT e.hash FROM events e WHERE e.position = $2) AS log_hash
FROM cursors c WHERE c.name = $1 AND c.version = $3 FOR UPDATE OF c
