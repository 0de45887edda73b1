-- Every event whole, in order. $1 after this position
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE position > $1 ORDER BY position
