-- name: append
-- One batch, judged and written under the lock (ledger/migrations/0002_append.sql). Parameters as there.
SELECT outcome, position, hash, at_us, believed_us, detail::text
FROM ledger.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: begin_append
-- Takes the lock in a transaction and tells what is new. Parameters as in ledger/migrations/0002_append.sql.
SELECT outcome, position, hash, NULL::bigint AS at_us, believed_us, detail::text
FROM ledger.begin_append($1, $2, $3, $4, $5, $6, $7)

-- name: clock
-- The database's time, in epoch microseconds.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint

-- name: clocks
-- What the clocks say, and which is believed; parameters as in ledger/migrations/0002_append.sql.
SELECT outcome, clock_us, head_us, witness_us, told_us, believed_us FROM ledger.clocks($1, $2, $3)

-- name: events_after
-- What comes after a position, in order. $1 position, $2 at most so many
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE position > $1 ORDER BY position LIMIT $2

-- name: events_at
-- The events at these positions. $1 positions
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE position = ANY ($1::bigint[])

-- name: event_of_version
-- Where an event of a stream stands. $1 stream, $2 version
SELECT position, hash FROM events WHERE stream = $1 AND version = $2

-- name: head
-- The newest event's place and hash, no row for an empty log.
SELECT position, hash FROM events ORDER BY position DESC LIMIT 1

-- name: primary
-- The cluster and its timeline, which each promotion raises; no row on a replica
SELECT system_identifier AS system, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int AS timeline
FROM pg_control_system() WHERE NOT pg_is_in_recovery()

-- name: session
-- Who we are, whether a superuser, whether commits are durable, and whether this connection stays on one machine, whose
-- clock is then both ours and the database's.
SELECT session_user::text AS login, (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) AS superuser,
       current_setting('synchronous_commit') AS durable,
       inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr() AS same_machine

-- name: keep_snapshot
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

-- name: notify
-- Wake who listens.
NOTIFY neurocards_events

-- name: open_jobs
-- Unfinished jobs in the order they were queued. $1 after this position, $2 up to this one, $3 at most so many
SELECT job, account, position, deadline_at_us FROM open_jobs
WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3

-- name: snapshots_due
-- Accounts that have got their thousandth, two-thousandth, … event since their snapshot. $1 format, $2 a thousand, $3 at
-- most so many
SELECT e.stream
FROM events e
LEFT JOIN snapshots s ON s.stream = e.stream AND s.format = $1
WHERE e.version % 1000 = 0 AND e.version % $2::bigint = 0 AND starts_with(e.stream, 'account-')
  AND e.version > coalesce(s.version, 0)
GROUP BY e.stream LIMIT $3

-- name: stream
-- One stream from its start. $1 stream
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
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

-- name: streams_after
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

-- name: streams_cold
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
        WHERE s.stream = w.stream AND s.format = $2::text
          AND s.hash = (SELECT e.hash FROM events e  -- a join planned on an empty log would read it all
                        WHERE e.position = s.position AND e.stream = s.stream AND e.version = s.version)
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
