-- The row at a position, the one before and the one after it. $1 position
(SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
 FROM events WHERE position < $1 ORDER BY position DESC LIMIT 1)
UNION ALL
(SELECT position, stream, version, type, data::text, key, body_hash, command_events, recorded_at_us, hash
 FROM events WHERE position >= $1 ORDER BY position LIMIT 2)
ORDER BY position
