-- The rows as columns. $1 first position, $2 last position
SELECT position, stream, version, type, data::text AS data, key, encode(body_hash, 'hex') AS body_hash, command_events,
       recorded_at_us, encode(hash, 'hex') AS hash
FROM events WHERE position BETWEEN $1 AND $2 ORDER BY position
