-- Under the lock, in a statement of its own: the head, the clock, the keys that are already used,
-- and whether the event at our remembered cursor is still the one we saw.
-- $1 keys, $2 position of the remembered cursor
SELECT 'clock' AS what, 0::bigint AS position, NULL::bytea AS hash,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS time_us,
       NULL::text AS key, NULL::bytea AS body_hash, NULL::bigint AS command_events
UNION ALL
(SELECT 'head', position, hash, recorded_at_us, NULL, NULL, NULL FROM events ORDER BY position DESC LIMIT 1)
UNION ALL
SELECT 'cursor', position, hash, recorded_at_us, NULL, NULL, NULL FROM events WHERE position = $2
UNION ALL
SELECT 'key', position, NULL, recorded_at_us, key, body_hash, command_events FROM events WHERE key = ANY ($1)
