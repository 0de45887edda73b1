-- name: append_cold
-- Streams from their snapshots, or else from their start: the snapshot as a row of type 'snapshot', then a page of the
-- events after it. A snapshot counts only if the log still holds the very event it was made at.
-- $1 streams, joined by the unit separator, $2 format, $3 at most so many events of each
--
-- $1 stands in a subselect so that this is planned once: for names that it knows Postgres plans each time anew, which
-- takes four times as long as reading.
WITH wanted AS MATERIALIZED (
    SELECT w.stream, s.version, s.sealed
    FROM unnest(string_to_array((SELECT $1::text), U&'\001F')) AS w (stream)
    LEFT JOIN LATERAL (
        SELECT s.version, encode(s.hash, 'hex') || s.state::text AS sealed
        FROM snapshots s
        JOIN events e ON e.position = s.position
        WHERE s.stream = w.stream AND s.format = $2::text
          AND e.stream = s.stream AND e.version = s.version AND e.hash = s.hash
    ) AS s ON true
)
SELECT stream, version, 'snapshot' AS type, sealed AS data FROM wanted WHERE version IS NOT NULL
UNION ALL
SELECT e.stream, e.version, e.type, e.data
FROM wanted w
CROSS JOIN LATERAL (
    SELECT e.stream, e.version, e.type, e.data::text AS data
    FROM events e WHERE e.stream = w.stream AND e.version > coalesce(w.version, 0)
    ORDER BY e.version LIMIT $3::bigint
) AS e
ORDER BY stream, version

-- name: append_head
-- Under the lock, in a statement of its own: the clock, the head, and the hash that now stands where our
-- remembered cursor is; and whether this transaction can write at all. One row. $1 position of the remembered cursor
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us,
       head.position, head.hash, head.recorded_at_us,
       (SELECT hash FROM events WHERE position = $1::bigint) AS hash_at_cursor,
       current_setting('transaction_read_only') AS read_only
FROM (SELECT) AS always
LEFT JOIN (SELECT position, hash, recorded_at_us FROM events ORDER BY position DESC LIMIT 1) AS head ON true

-- name: append_insert
-- The whole batch in one statement, with the open jobs and the wake-up. Not COPY: a client frozen inside
-- COPY holds the lock past every timeout.
--
-- Each column of text or numbers comes as one text joined by the unit separator (U+001F, which JSON escapes and
-- names never hold), hashes as one run of 32-byte pieces: encoding thousands of array elements one by one costs
-- the client more than the insert costs the server.
-- $1 head position, $2 time, $3 streams, $4 versions, $5 types, $6 data, $7 keys ('' = none), $8 body hashes,
-- $9 events in the command ('' = none), $10 hashes
-- $11 jobs opened, $12 their accounts, $13 positions, $14 deadlines; $15 jobs ended
WITH appended AS (
    INSERT INTO events (position, stream, version, type, data, key, body_hash, command_events, recorded_at_us, hash)
    SELECT $1::bigint + n, stream, version, type, data::json, key,
           CASE WHEN key IS NOT NULL THEN substr($8::bytea, (n * 32 - 31)::int, 32) END,
           command_events, $2::bigint, substr($10::bytea, (n * 32 - 31)::int, 32)
    FROM unnest(string_to_array($3, U&'\001F'), string_to_array($4, U&'\001F')::bigint[],
                string_to_array($5, U&'\001F'), string_to_array($6, U&'\001F'),
                string_to_array($7, U&'\001F', ''), string_to_array($9, U&'\001F', '')::bigint[])
        WITH ORDINALITY AS e (stream, version, type, data, key, command_events, n)
), opened AS (
    INSERT INTO open_jobs (job, account, position, deadline_at_us)
    SELECT job, account, position, deadline_at_us
    FROM unnest(string_to_array($11, U&'\001F'), string_to_array($12, U&'\001F'),
                string_to_array($13, U&'\001F')::bigint[], string_to_array($14, U&'\001F')::bigint[])
        AS o (job, account, position, deadline_at_us)
), ended AS (
    DELETE FROM open_jobs WHERE job = ANY (string_to_array($15, U&'\001F'))
)
SELECT pg_notify('neurocards_events', '')

-- name: append_keys
-- Under the lock: which of these keys stand in the log already. $1 keys, joined by the unit separator
SELECT key, body_hash, position, command_events, recorded_at_us
FROM events WHERE key = ANY (string_to_array($1, U&'\001F'))

-- name: append_snapshot
-- Keep a state, unless the log no longer holds its event or a newer one is kept. One that the log contradicts goes.
-- $1 stream, $2 version, $3 position, $4 hash, $5 format, $6 state
INSERT INTO snapshots AS old (stream, version, position, hash, format, state)
SELECT e.stream, e.version, e.position, e.hash, $5::text, $6::json
FROM events e
WHERE e.position = $3::bigint AND e.hash = $4::bytea AND e.stream = $1::text AND e.version = $2::bigint
ON CONFLICT (stream) DO UPDATE
SET version = excluded.version, position = excluded.position, hash = excluded.hash,
    format = excluded.format, state = excluded.state
WHERE old.version < excluded.version OR old.format <> excluded.format
   OR NOT EXISTS (SELECT FROM events e WHERE e.position = old.position AND e.hash = old.hash)

-- name: append_streams
-- Events of several streams, each after its own version, a page of each.
-- $1 streams, $2 versions, each joined by the unit separator, $3 at most so many of each
SELECT e.stream, e.version, e.type, e.data
FROM unnest(string_to_array((SELECT $1::text), U&'\001F'), string_to_array($2, U&'\001F')::bigint[])
    AS w (stream, version)
CROSS JOIN LATERAL (
    SELECT e.stream, e.version, e.type, e.data::text AS data
    FROM events e WHERE e.stream = w.stream AND e.version > w.version
    ORDER BY e.version LIMIT $3::bigint
) AS e
ORDER BY stream, version

-- name: clock
-- The database's time, in epoch microseconds.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint

-- name: events_after
-- What comes after a position, in order. $1 position, $2 at most so many
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE position > $1 ORDER BY position LIMIT $2

-- name: events_at
-- The events at these positions. $1 positions
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE position = ANY ($1::bigint[])

-- name: open_jobs
-- Unfinished jobs in the order they were queued. $1 after this position, $2 up to this one, $3 at most so many
SELECT job, account, position, deadline_at_us FROM open_jobs
WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3

-- name: stream
-- One stream from its start. $1 stream
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE stream = $1 ORDER BY version

-- name: streams
-- Several streams from their starts. $1 streams
SELECT w.stream, e.type, e.data::text AS data
FROM unnest($1::text[]) AS w (stream)
CROSS JOIN LATERAL (
    -- OFFSET keeps this apart, so that each stream is read by its index whatever the planner thinks of the table.
    SELECT e.version, e.type, e.data FROM events e WHERE e.stream = w.stream ORDER BY e.version OFFSET 0
) AS e
ORDER BY w.stream, e.version
