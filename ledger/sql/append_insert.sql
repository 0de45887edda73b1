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
