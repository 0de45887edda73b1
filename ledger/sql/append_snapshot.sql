-- Keep a state, unless the log no longer holds its event or a newer one is kept. One that the log contradicts goes.
-- $1 stream, $2 version, $3 position, $4 hash, $5 format, $6 state
INSERT INTO snapshots AS old (stream, version, position, hash, format, state)
SELECT e.stream, e.version, e.position, e.hash, $5::text, $6::json
FROM events e
WHERE e.position = $3::bigint AND e.hash = $4::bytea AND e.stream = $1::text AND e.version = $2::bigint
ON CONFLICT (stream) DO UPDATE
SET version = excluded.version, position = excluded.position, hash = excluded.hash,
    format = excluded.format, state = excluded.state
WHERE old.version < excluded.version OR old.format <> excluded.format
   OR NOT EXISTS (SELECT FROM events e WHERE e.position = old.position AND e.hash = old.hash)
