-- The events at these positions. $1 positions
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE position = ANY ($1::bigint[])
