-- One event. $1 position
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE position = $1
