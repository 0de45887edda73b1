-- The whole batch in one statement, with the open jobs and the wake-up. Not COPY: a client frozen inside
-- COPY holds the lock past every timeout.
-- $1..$10 the events' columns; $11..$14 jobs opened; $15 jobs ended
WITH appended AS (
    INSERT INTO events (position, stream, version, type, data, key, body_hash, command_events, recorded_at_us, hash)
    SELECT position, stream, version, type, data::json, key, body_hash, command_events, recorded_at_us, hash
    FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bytea[],
                $8::bigint[], $9::bigint[], $10::bytea[])
        AS e (position, stream, version, type, data, key, body_hash, command_events, recorded_at_us, hash)
), opened AS (
    INSERT INTO open_jobs (job, account, position, deadline_at_us)
    SELECT job, account, position, deadline_at_us
    FROM unnest($11::text[], $12::text[], $13::bigint[], $14::bigint[])
        AS o (job, account, position, deadline_at_us)
), ended AS (
    DELETE FROM open_jobs WHERE job = ANY ($15::text[])
)
SELECT pg_notify('neurocards_events', '')
