-- What comes after a position, in order. $1 position, $2 at most so many
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE position > $1 ORDER BY position LIMIT $2
