-- name: events_of_streams
-- The newest events of some streams. $1 streams, $2 from and $3 to a position, $4 types or NULL, $5 at most so many
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE stream = ANY ($1::text[]) AND position BETWEEN $2 AND $3 AND ($4::text[] IS NULL OR type = ANY ($4))
ORDER BY position DESC LIMIT $5

-- name: events_of_actor
-- The newest events that somebody caused. $1 actor, $2 from and $3 to a position, $4 types or NULL, $5 at most so many
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE data ->> 'actor' = $1 AND data ->> 'actor' <> '' AND type IN ({acted}) AND position BETWEEN $2 AND $3
  AND ($4::text[] IS NULL OR type = ANY ($4))
ORDER BY position DESC LIMIT $5

-- name: events_seldom
-- The newest events of types that are indexed. $1 types of those in events_seldom, $2 from and $3 to a position, $4 at most so many
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE type IN ('CreditsGranted', 'CreditsRevoked', 'PaymentFlagged', 'VideoGifted') AND type = ANY ($1)
  AND position BETWEEN $2 AND $3 ORDER BY position DESC LIMIT $4

-- name: events_window
-- Of a window of positions those of some types. $1 from and $2 to a position, $3 types or NULL
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE position BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR type = ANY ($3)) ORDER BY position DESC

-- name: positions_between
-- The first and last position of a time, and the log's end. $1 from (inclusive) and $2 to (exclusive) a time in epoch microseconds, or NULL
SELECT CASE WHEN $1::bigint IS NULL THEN 1 ELSE audit.position_at(audit.to_time($1 - 1)) + 1 END AS first,
       CASE WHEN $2::bigint IS NULL THEN head ELSE audit.position_at(audit.to_time($2 - 1)) END AS last, head
FROM (SELECT coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1), 0) AS head) AS h
