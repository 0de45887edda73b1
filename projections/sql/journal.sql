-- Events, those at the {order} end of a range first. $1 from position, $2 to position, $3 types or NULL, $4 at most so many
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events
WHERE position BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR type = ANY ($3))
ORDER BY position {order} LIMIT $4
