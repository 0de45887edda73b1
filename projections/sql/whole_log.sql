-- Every event, in order.
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events ORDER BY position
