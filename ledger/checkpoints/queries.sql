-- name: add_note
-- $1 kind, $2 head position, $3 head hash, $4 time in epoch microseconds, $5 the note
INSERT INTO checkpoints (kind, position, hash, made_at, note)
VALUES ($1, $2, $3, timestamptz 'epoch' + $4::bigint * interval '1 microsecond', $5) RETURNING number

-- name: add_tiles
-- $1 level, $2 index of the first one, $3 their hashes, one run of 32-byte pieces
INSERT INTO tree_tiles (level, index, hash)
SELECT $1, $2::bigint + n, substring($3::bytea FROM (n * 32 + 1)::int FOR 32)
FROM generate_series(0, length($3::bytea) / 32 - 1) AS n

-- name: command_made
-- The events that the command with one of these keys made. $1 keys
SELECT e.position, e.stream
FROM (SELECT position, command_events FROM events WHERE key = ANY ($1::text[])) AS first
CROSS JOIN LATERAL (SELECT position, stream FROM events
                    WHERE position >= first.position AND position < first.position + first.command_events
                    ORDER BY position OFFSET 0) AS e
ORDER BY e.position

-- name: forget_tiles
-- Subtrees that are not wholly in a tree of a size. $1 size
DELETE FROM tree_tiles WHERE level > 6 OR (index + 1) << (8 * level) > $1

-- name: leaves
-- The hashes of a run of positions, joined, and how many there are. $1 after this position, $2 up to this one
SELECT string_agg(hash, ''::bytea ORDER BY position) AS joined, count(*) AS found
FROM events WHERE position > $1 AND position <= $2

-- name: newest_note
-- The note stored last. $1 its kind, $2 the position it reaches at least
SELECT number, kind, position, hash, note,
       to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS made_at
FROM checkpoints WHERE kind = $1 AND position >= $2 ORDER BY number DESC LIMIT 1

-- name: notes
-- Signed notes in the order they were stored. $1 their kind, NULL for all
SELECT number, kind, position, hash, note,
       to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS made_at
FROM checkpoints WHERE $1::text IS NULL OR kind = $1 ORDER BY number

-- name: positions_of
-- The positions of these streams, of these jobs' charges and refunds, and of what names a payment; each by an
-- index. $1 streams, $2 jobs, $3 the payment, $4 at most so many
SELECT position FROM events WHERE stream = ANY ($1::text[])
UNION
SELECT position FROM events WHERE type = 'CreditsCharged' AND data ->> 'job' = ANY ($2::text[])
UNION
SELECT position FROM events WHERE type = 'CreditsRefunded' AND data ->> 'job' = ANY ($2::text[])
UNION
SELECT position FROM events WHERE type IN ('CreditsGranted', 'CreditsRevoked', 'CreditsRestored') AND data ->> 'reference' = $3
ORDER BY position LIMIT $4

-- name: signing_head
-- The log's head and the database's time, which is never before the last event's.
SELECT coalesce(e.position, 0) AS position, coalesce(e.hash, decode(repeat('00', 32), 'hex')) AS hash,
       greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, coalesce(e.recorded_at_us, 0)) AS now_us
FROM (SELECT) AS always LEFT JOIN (SELECT * FROM events ORDER BY position DESC LIMIT 1) AS e ON true

-- name: tiles
-- A run of cached subtree roots, joined, and how many there are. $1 level, $2 from this index, $3 up to before this
SELECT string_agg(hash, ''::bytea ORDER BY index) AS joined, count(*) AS found
FROM tree_tiles WHERE level = $1 AND index >= $2 AND index < $3
