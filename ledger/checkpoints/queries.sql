-- name: add_cosignature
-- A witness's signature beside the stored note that it signs; the first one stays. $1 the note's text and an empty line, $2 the
-- witness's key, $3 the line
WITH signed AS (SELECT number FROM checkpoints WHERE kind = 'checkpoint' AND starts_with(note, $1::text)),
     added AS (INSERT INTO cosignatures (number, witness, line) SELECT number, $2::text, $3::text FROM signed ON CONFLICT DO NOTHING)
SELECT max(number) FROM signed

-- name: add_note
-- A note under the next number. Of two at once one fails. $1 kind, $2 position, $3 the hash there, $4 the note
INSERT INTO checkpoints (number, kind, position, hash, note)
SELECT coalesce(max(number), 0) + 1, $1::text, $2::bigint, $3::bytea, $4::text FROM checkpoints
RETURNING number, kind, position, hash, note

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

-- name: last_statement
-- Until when the log is stated and signed, in epoch microseconds: its last statement's time, or now when nothing came since.
-- And now. $1 its stream
SELECT CASE WHEN s.position = (SELECT max(position) FROM events) THEN n.us ELSE s.recorded_at_us END AS until_us, n.us AS now_us
FROM (SELECT position, recorded_at_us FROM events WHERE stream = $1 AND type = 'LogStated'
      ORDER BY version DESC LIMIT 1) AS s,
     (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us) AS n
WHERE EXISTS (SELECT FROM checkpoints c WHERE c.kind = 'checkpoint' AND c.position = s.position)

-- name: leaves
-- The hashes of a run of positions, joined, and how many there are. $1 after this position, $2 up to this one
SELECT string_agg(hash, ''::bytea ORDER BY position) AS joined, count(*) AS found
FROM events WHERE position > $1 AND position <= $2

-- name: lock_signing
-- Whether this transaction may sign: one at a time, and it waits while the log is stated. $1 the lock's number
SELECT set_config('idle_in_transaction_session_timeout', '10min', true) <> '' AND pg_try_advisory_xact_lock($1)

-- name: log_statements
-- What the log says of itself. $1 its stream
SELECT position, recorded_at_us, type, data::text AS data FROM events WHERE stream = $1 ORDER BY version

-- name: newest_note
-- The checkpoint stored last, with what witnesses signed of it. $1 its least size, $2 its largest
SELECT number, kind, position, hash,
       note || (SELECT coalesce(string_agg(s.line, '' ORDER BY s.witness), '') FROM cosignatures s WHERE s.number = c.number) AS note
FROM checkpoints c
WHERE kind = 'checkpoint' AND position BETWEEN $1 AND $2 ORDER BY number DESC LIMIT 1

-- name: notes
-- Signed notes in the order they were stored, and what the log has where they were signed. $1 their kind, NULL for all
SELECT c.number, c.kind, c.position, c.hash, c.note, e.hash AS log_hash, e.recorded_at_us
FROM checkpoints c LEFT JOIN events e USING (position)
WHERE $1::text IS NULL OR c.kind = $1 ORDER BY c.number

-- name: notes_lost
-- Checkpoints that were signed where the log has another row now, or none.
SELECT c.number, c.kind, c.position, c.hash, c.note
FROM checkpoints c LEFT JOIN events e USING (position)
WHERE c.kind = 'checkpoint' AND e.hash IS DISTINCT FROM c.hash ORDER BY c.number

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
-- The log's head and the database's time.
SELECT coalesce(e.position, 0) AS position, coalesce(e.hash, decode(repeat('00', 32), 'hex')) AS hash,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us
FROM (SELECT) AS always LEFT JOIN (SELECT * FROM events ORDER BY position DESC LIMIT 1) AS e ON true

-- name: tiles
-- A run of cached subtree roots, joined, and how many there are. $1 level, $2 from this index, $3 up to before this
SELECT string_agg(hash, ''::bytea ORDER BY index) AS joined, count(*) AS found
FROM tree_tiles WHERE level = $1 AND index >= $2 AND index < $3
