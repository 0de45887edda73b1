-- name: acted
-- The newest events that somebody caused or appended, but for processes. Ranges, so that only the index of either gives the order.
-- $1 actor, $2 from and $3 to a position, $4 at most so many
(SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash FROM events
 WHERE data ->> 'actor' >= $1 AND data ->> 'actor' <= $1 AND data ->> 'actor' <> '' AND type IN ({acted}) AND position BETWEEN $2 AND $3
 ORDER BY data ->> 'actor' DESC, position DESC LIMIT $4)
UNION
(SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash FROM events
 WHERE writer >= substr($1, 7) AND writer <= substr($1, 7) AND starts_with($1, 'login:') AND writer NOT IN ({processes})
   AND position BETWEEN $2 AND $3 ORDER BY writer DESC, position DESC LIMIT $4)
ORDER BY position DESC LIMIT $4

-- name: actions_beside
-- What somebody did that is not in the log: models paused, people's data read, operations asked for. $1 actor, $2 login, $3 from and $4 to a time in
-- epoch microseconds, $5 at most so many
(SELECT changed_us AS at_us, NULL::bigint AS position, 'model ' || state AS what, model AS of, reason AS words FROM model_changes
 WHERE actor = $1 AND changed_us BETWEEN $3 AND $4 ORDER BY number DESC LIMIT $5)
UNION ALL
(SELECT (extract(epoch FROM requested_at) * 1000000)::bigint, NULL, 'asked for: ' || what, targets[1], reason FROM operations
 WHERE actor = $1 AND requested_at BETWEEN audit.to_time($3) AND audit.to_time($4) ORDER BY requested_at DESC LIMIT $5)
UNION ALL
(SELECT (extract(epoch FROM read_at) * 1000000)::bigint, NULL, 'data read: ' || what, account, reason FROM person_reads
 WHERE (login = $2 AND actor = '' OR actor = $1) AND read_at BETWEEN audit.to_time($3) AND audit.to_time($4)
 ORDER BY read_at DESC LIMIT $5)

-- name: account_until
-- An account's events up to a position. $1 stream, $2 position
SELECT position, version, type, data::text AS data, recorded_at_us
FROM events WHERE stream = $1 AND position <= $2 ORDER BY version

-- name: event_at
-- One event. $1 position
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE position = $1

-- name: events_at
-- $1 positions, $2 types; none: all
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE position = ANY ($1::bigint[]) AND (cardinality($2::text[]) = 0 OR type = ANY ($2))

-- name: exceptions
-- What to look at first, the newest of each kind first: credits given without a purchase, from $1 on; videos that came although
-- the credit had gone back; money sent back for credits that were spent; money that matches no order; changes that one person
-- proposed and approved; debts.
-- $2 from and $3 to a position, $4 at most so many of each kind, $5 of so many grants and revocations, or NULL: of all
(SELECT 'grant' AS kind, position, recorded_at_us AS at_us, substr(stream, 9) AS account, (data ->> 'amount')::bigint AS amount,
        'credits' AS unit, data ->> 'reference' AS of, concat_ws(': ', data ->> 'kind', data ->> 'reason') AS words
 FROM unnest(ARRAY['CreditsGranted']) AS wanted CROSS JOIN LATERAL (  -- not by position: by its own index
     SELECT * FROM events WHERE type IN ('CreditsGranted', 'CreditsRevoked', 'PaymentFlagged', 'VideoGifted', 'ChangeApproved')
       AND type = wanted AND position BETWEEN $2 AND $3 ORDER BY position DESC LIMIT $5) AS g
 WHERE (data ->> 'amount')::bigint >= $1 AND data ->> 'kind' <> 'purchase' ORDER BY position DESC LIMIT $4)
UNION ALL
(SELECT 'refunded_and_delivered', e.position, e.recorded_at_us, q.data ->> 'account', (q.data ->> 'price')::bigint, 'credits',
        substr(e.stream, 5), 'late video, given free' FROM events e JOIN events q ON q.stream = e.stream AND q.version = 1
 WHERE e.type = 'VideoGifted' AND e.position BETWEEN $2 AND $3 ORDER BY e.position DESC LIMIT $4)
UNION ALL
(SELECT 'refunded_and_spent', position, recorded_at_us, substr(stream, 9), owed, 'credits', data ->> 'reference', data ->> 'reason'
 FROM (SELECT * FROM events WHERE type = 'CreditsRevoked' AND position BETWEEN $2 AND $3 ORDER BY position DESC LIMIT $5) AS e
 CROSS JOIN LATERAL (
     SELECT (e.data ->> 'amount')::bigint - coalesce(sum((part ->> 'amount')::bigint), 0)::bigint AS owed
     FROM json_array_elements(e.data -> 'parts') AS part) AS o
 WHERE data ->> 'kind' = 'payment' AND owed > 0 ORDER BY position DESC LIMIT $4)
UNION ALL
(SELECT 'flagged_money', position, recorded_at_us, data ->> 'account', (data ->> 'amount_minor')::bigint,
        (data ->> 'currency') || ' minor', substr(stream, 9), data ->> 'problem' FROM events
 WHERE type = 'PaymentFlagged' AND position BETWEEN $2 AND $3 ORDER BY position DESC LIMIT $4)
UNION ALL
(SELECT 'self_approved', a.position, a.recorded_at_us, substr(a.stream, 9), (p.data ->> 'amount')::bigint, 'credits', a.data ->> 'change',
        concat_ws(': ', p.data ->> 'what', a.data ->> 'actor', a.data ->> 'reason')
 FROM events a CROSS JOIN LATERAL (
     SELECT p.data FROM events p
     WHERE p.stream = a.stream AND p.version < a.version AND p.data ->> 'change' = a.data ->> 'change') AS p
 WHERE a.type = 'ChangeApproved' AND a.position BETWEEN $2 AND $3 AND a.data ->> 'actor' = p.data ->> 'actor'
 ORDER BY a.position DESC LIMIT $4)
UNION ALL
(SELECT 'debt', position, updated_at_us, account, debt, 'credits', '', 'owed now' FROM balances
 WHERE debt > 0 AND position BETWEEN $2 AND $3 ORDER BY position DESC LIMIT $4)

-- name: explain_drawn
-- What was drawn from a lot: charges, revocations, expiries. $1 stream, $2 after this version, $3 lot, $4 at most so many
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events
WHERE stream = $1 AND version > $2
  AND CASE type WHEN 'CreditsExpired' THEN (data ->> 'lot')::bigint = $3
                WHEN 'CreditsCharged' THEN EXISTS (SELECT FROM json_array_elements(data -> 'parts') AS part
                                                   WHERE (part ->> 'lot')::bigint = $3)
                WHEN 'CreditsRevoked' THEN EXISTS (SELECT FROM json_array_elements(data -> 'parts') AS part
                                                   WHERE (part ->> 'lot')::bigint = $3)
                ELSE false END
ORDER BY version LIMIT $4

-- name: explain_jobs
-- All events of some jobs: their own streams, their charges and refunds. $1 jobs
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE stream = ANY (SELECT 'job-' || job FROM unnest($1::text[]) AS job)
UNION ALL
SELECT position, stream, version, type, data::text, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE type = 'CreditsCharged' AND data ->> 'job' = ANY ($1)
UNION ALL
SELECT position, stream, version, type, data::text, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE type = 'CreditsRefunded' AND data ->> 'job' = ANY ($1)

-- name: explain_lots
-- The grants that made some lots of an account. $1 stream, $2 lots
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE stream = $1 AND type = 'CreditsGranted' AND (data ->> 'lot')::bigint = ANY ($2::bigint[])

-- name: explain_messages
-- What the chat was told of some jobs. $1 jobs
SELECT job, kind, account, order_id, state, attempts, message_id, last_error,
       (extract(epoch FROM owed_at) * 1000000)::bigint, (extract(epoch FROM settled_at) * 1000000)::bigint
FROM deliveries WHERE job = ANY ($1::text[])

-- name: explain_order
-- The jobs of an order: those of the command it was made by, and those of the read model. $1 order
SELECT made.data ->> 'job' AS job
FROM events first
-- The limit is above any command's length. Without it the planner takes the range for a third of the log.
CROSS JOIN LATERAL (
    SELECT type, data FROM events
    WHERE position >= first.position AND position < first.position + first.command_events
    ORDER BY position LIMIT 1000
) AS made
WHERE (first.key = 'order:' || $1 OR first.key = $1)
  AND made.type = 'CreditsCharged' AND made.data ->> 'order' = $1
UNION
SELECT job FROM job_status WHERE order_id = $1

-- name: explain_payment
-- What a payment is and caused: its own stream, and the grants and revocations that name it. It is known by its id, by
-- the provider's, or by what a grant names it with (`yookassa:<id>`). $1 any of these
WITH named AS (
    SELECT 'payment-' || $1::text AS stream
    UNION
    SELECT 'payment-' || payment FROM payments WHERE provider_payment = $1
    UNION
    SELECT stream FROM events
    WHERE type = 'PaymentSucceeded'
      AND (data ->> 'provider_payment' = $1
           OR (data ->> 'provider_payment' = substr($1, strpos($1, ':') + 1)
               AND data ->> 'provider' = substr($1, 1, greatest(strpos($1, ':') - 1, 0))))
), own AS MATERIALIZED (
    SELECT e.* FROM events e JOIN named USING (stream)
), called (reference) AS (
    SELECT $1
    UNION
    SELECT (data ->> 'provider') || ':' || (data ->> 'provider_payment') FROM own WHERE type = 'PaymentSucceeded'
    UNION
    SELECT data ->> 'refund' FROM own WHERE type = 'RefundIntended'
)
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM own
UNION ALL
SELECT position, stream, version, type, data::text, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events
WHERE type IN ('CreditsGranted', 'CreditsRevoked', 'CreditsRestored') AND data ->> 'reference' IN (SELECT reference FROM called)

-- name: journal
-- Events, those at the {order} end of a range first. Parameters as in journal_filter
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE {among} {filter}
ORDER BY position {order} LIMIT $4

-- name: journal_account
-- The streams of an account, of its jobs and of its payments. $1 stream
SELECT $1::text AS stream UNION ALL
SELECT 'job-' || (data ->> 'job') FROM events WHERE stream = $1 AND type = 'CreditsCharged' UNION ALL
SELECT 'payment-' || payment FROM payments WHERE account = substr($1, length('account-') + 1)

-- name: journal_filter
-- $1 from position, $2 to position, $3 types or NULL, $4 at most so many; or NULL: $5 kind, $6 actor, $7 least amount in
-- credits, $8 words of the reason
position BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR type = ANY ($3))
AND ($5::text IS NULL OR data ->> 'kind' = $5)
AND ($6::text IS NULL OR data ->> 'actor' = $6 AND data ->> 'actor' <> '' AND type IN ({acted})
     OR writer = substr($6, 7) AND writer NOT IN ({processes}))
AND ($7::bigint IS NULL OR (data ->> 'amount')::bigint >= $7)
AND ($8::text IS NULL OR strpos(lower(data ->> 'reason'), lower($8)) > 0)

-- name: log_position
-- A place in the log and the time at which lives are judged there; both NULL where the log has no such place.
-- $1 position or NULL, $2 epoch microseconds or NULL; neither: now
WITH head AS (
    SELECT position, recorded_at_us FROM events ORDER BY position DESC LIMIT 1
), clock AS (
    -- the log's time never runs behind its last event
    SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
                    (SELECT recorded_at_us FROM head)) AS now_us
)
SELECT CASE WHEN $1::bigint IS NOT NULL THEN least($1, coalesce((SELECT position FROM head), 0))
            WHEN $2::bigint IS NOT NULL THEN audit.position_at(audit.to_time(least($2, clock.now_us)))
            ELSE coalesce((SELECT position FROM head), 0) END AS position,
       CASE WHEN $1 IS NOT NULL THEN coalesce(audit.time_at($1), 0)
            ELSE least($2, clock.now_us) END AS time_us,
       coalesce((SELECT position FROM head), 0) AS head,
       clock.now_us
FROM clock

-- name: logins
-- Who may log in to this database, and since when, where that was written down (a comment `since DATE`). Last used is what
-- anything here knows of: what is open now, people's data read, and what a login of no process appended.
SELECT r.rolname AS login, r.rolsuper AS superuser,
       ARRAY(SELECT m.roleid::regrole::text FROM pg_auth_members m WHERE m.member = r.oid ORDER BY 1) AS roles,
       substring(shobj_description(r.oid, 'pg_authid') FROM '^since (.*)$') AS since,
       r.rolvaliduntil::text AS until, coalesce(s.connections, 0) AS connections,
       (extract(epoch FROM greatest(s.last_query, (SELECT max(read_at) FROM person_reads p WHERE p.login = r.rolname),
            -- a range, so that only the writers' index gives the order
            (SELECT audit.to_time(recorded_at_us) FROM events
             WHERE writer >= r.rolname COLLATE "default" AND writer <= r.rolname COLLATE "default" AND writer NOT IN ({processes})
             ORDER BY writer DESC, position DESC LIMIT 1))) * 1000000)::bigint AS last_used_us
FROM pg_roles r LEFT JOIN ledger.sessions() AS s ON s.login = r.rolname
WHERE r.rolcanlogin AND has_database_privilege(r.oid, current_database(), 'CONNECT') ORDER BY 1

-- name: owners
-- Whose jobs and payments some streams are. $1 streams
SELECT stream, data ->> 'account' AS account FROM events WHERE stream = ANY ($1::text[]) AND version = 1

-- name: reads
-- Who looked at whose data, the newest first. $1 from and $2 to a time in epoch microseconds, $3 account or NULL, $4 at most
-- so many
SELECT (extract(epoch FROM read_at) * 1000000)::bigint AS at_us, login, actor, what, account, reason FROM person_reads
WHERE read_at BETWEEN audit.to_time($1) AND audit.to_time($2) AND ($3::text IS NULL OR account = $3)
ORDER BY read_at DESC LIMIT $4

-- name: trial_balance
-- The books at a moment, users in one line. $1 position, $2 epoch microseconds at which lives are judged
SELECT CASE WHEN account LIKE 'user:%' THEN 'user' ELSE account END AS account,
       count(*) AS accounts, sum(debits)::bigint AS debits, sum(credits)::bigint AS credits, sum(balance)::bigint AS balance
FROM audit.books($1, $2)
GROUP BY 1 ORDER BY 1

-- name: trial_balance_accounts
-- The books at a moment, account by account. $1 position, $2 epoch microseconds at which lives are judged
SELECT account, 1::bigint AS accounts, debits, credits, balance FROM audit.books($1, $2) ORDER BY account

-- name: unknown_types
-- The first event of a type that this code does not know. $1 up to this position, $2 the types it knows
SELECT type, position FROM events WHERE position <= $1 AND type <> ALL ($2::text[]) ORDER BY position LIMIT 1
