-- One stream from its start. $1 stream
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE stream = $1 ORDER BY version
