-- name: events_of_streams
-- The newest events of some streams, each read by its own index and not (+ 0) by position. $1 streams, $2 from and $3 to a position,
-- $4 types or NULL, $5 at most so many
SELECT e.position, e.stream, e.version, e.type, e.data::text AS data, e.key, e.body_hash, e.command_events, e.writer, e.recorded_at_us, e.hash
FROM unnest($1::text[]) AS named CROSS JOIN LATERAL (
    SELECT * FROM events WHERE stream = named AND position + 0 BETWEEN $2 AND $3 AND ($4::text[] IS NULL OR type = ANY ($4))
    ORDER BY version DESC LIMIT $5) AS e
ORDER BY e.position DESC LIMIT $5

-- name: events_of_actor
-- The newest events that somebody caused. $1 actor, $2 from and $3 to a position, $4 types or NULL, $5 at most so many
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE data ->> 'actor' = $1 AND data ->> 'actor' <> '' AND type IN ({acted}) AND position BETWEEN $2 AND $3
  AND ($4::text[] IS NULL OR type = ANY ($4))
ORDER BY position DESC LIMIT $5

-- name: events_seldom
-- The newest events of types that are indexed, type by type. $1 types of those in events_seldom, $2 from and $3 to a position, $4 at
-- most so many
SELECT e.position, e.stream, e.version, e.type, e.data::text AS data, e.key, e.body_hash, e.command_events, e.writer, e.recorded_at_us, e.hash
FROM unnest($1::text[]) AS wanted CROSS JOIN LATERAL (
    SELECT * FROM events WHERE type IN ('CreditsGranted', 'CreditsRevoked', 'PaymentFlagged', 'VideoGifted') AND type = wanted
      AND position BETWEEN $2 AND $3 ORDER BY position DESC LIMIT $4) AS e
ORDER BY e.position DESC LIMIT $4

-- name: events_window
-- Of a window of positions those of some types. $1 from and $2 to a position, $3 types or NULL
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
FROM events WHERE position BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR type = ANY ($3)) ORDER BY position DESC

-- name: positions_between
-- The first and last position of a time, and the log's end. $1 from (inclusive) and $2 to (exclusive) a time in epoch microseconds, or NULL
SELECT CASE WHEN $1::bigint IS NULL THEN 1 ELSE audit.position_at(audit.to_time($1 - 1)) + 1 END AS first,
       CASE WHEN $2::bigint IS NULL THEN head ELSE audit.position_at(audit.to_time($2 - 1)) END AS last, head
FROM (SELECT coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1), 0) AS head) AS h

-- name: backup_runs
-- The newest $1 backups, checks and drills
SELECT kind, (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_us, backup, position, size_bytes, seconds, restore_s, lost_s, problems
FROM backup_runs ORDER BY number DESC LIMIT $1

-- name: attention
-- What may hold people back, as the database has it; counts end at 500. $1 classes of failure that park a job
SELECT t.now_us,
       (SELECT count(*) FROM (SELECT FROM open_jobs WHERE deadline_at_us < t.now_us - 120000000 ORDER BY deadline_at_us LIMIT 500) AS o) AS overdue,
       (SELECT min(deadline_at_us) FROM open_jobs) AS deadline_at_us,
       (SELECT count(*) FROM (SELECT FROM unnest($1::text[]) AS class CROSS JOIN LATERAL (
            SELECT FROM job_status WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND failure_class = class AND NOT gifted
            ORDER BY ended_at_us LIMIT 500) AS of LIMIT 500) AS d) AS dead_letters,
       (extract(epoch FROM v.ended_at) * 1000000)::bigint AS verified_at_us, v.position AS verified, v.problems::text AS problems,
       (SELECT (extract(epoch FROM min(moved_at)) * 1000000)::bigint FROM operations WHERE ended_at IS NULL) AS stuck_at_us,
       EXISTS (SELECT FROM checkpoints) AS signed,
       EXISTS (SELECT FROM note_deliveries) AS notes_go,
       (SELECT min(since_us) FROM (
            SELECT (extract(epoch FROM coalesce(max(sent_at), min(owed_at))) * 1000000)::bigint AS since_us
            FROM (SELECT kind, number, sent_at, owed_at FROM note_deliveries ORDER BY number DESC LIMIT 100) AS newest
            GROUP BY kind HAVING (array_agg(sent_at IS NULL ORDER BY number DESC))[1]) AS owed) AS note_owed_at_us,
       (extract(epoch FROM w.last_archived_time) * 1000000)::bigint AS archived_at_us,
       (extract(epoch FROM w.last_failed_time) * 1000000)::bigint AS archive_failed_at_us
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us) AS t
LEFT JOIN (SELECT * FROM verification_runs ORDER BY number DESC LIMIT 1) AS v ON true CROSS JOIN pg_stat_archiver AS w

-- name: alerts
-- What maintenance has found for the owner, since when
SELECT cause, detail, (extract(epoch FROM changed_at) * 1000000)::bigint AS changed_at_us FROM owner_alerts WHERE present

-- name: read_models
-- Every version of every in-order reader: its place, when it moved, and when the event after it was recorded
SELECT c.name, c.version, c.active, c.position, (extract(epoch FROM c.updated_at) * 1000000)::bigint AS moved_at_us,
       e.recorded_at_us AS next_at_us, h.position AS head
FROM cursors c
LEFT JOIN events e ON e.position = c.position + 1
LEFT JOIN (SELECT position FROM events ORDER BY position DESC LIMIT 1) AS h ON true
ORDER BY c.name, c.version DESC

-- name: reached
-- Up to where all of some read models have come, and when what follows was recorded. $1 names
SELECT c.position, e.recorded_at_us AS next_at_us FROM cursors c LEFT JOIN events e ON e.position = c.position + 1
WHERE c.active AND c.name = ANY ($1::text[]) ORDER BY c.position LIMIT 1

-- name: video_times
-- Of each of some days the newest jobs that ended with a video: the one that took the median from order to video, and that of the 95th
-- percentile, as "µs job". $1 when the days begin, epoch µs, $2 so many jobs at most
SELECT day, percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY took COLLATE "C") AS percentiles
FROM unnest($1::bigint[]) AS day
LEFT JOIN LATERAL (SELECT CASE outcome WHEN 'succeeded' THEN lpad((ended_at_us - queued_at_us)::text, 16, '0') || ' ' || job END AS took
                   FROM job_times WHERE ended_at_us >= day AND ended_at_us < day + 86400000000 ORDER BY ended_at_us DESC LIMIT $2) AS jobs ON true
GROUP BY day

-- name: heat
-- Failures by class, model and span of time, of the newest rows. $1 from, epoch µs, a whole hour; $2 a span, µs; $3 so many rows
SELECT error_class, model, (hour_at_us - $1) / $2 AS span, sum(jobs_failed)::bigint AS jobs,
       sum(submissions_failed)::bigint AS submissions, sum(refunded)::bigint AS refunded, max(last_at_us) AS last_at_us,
       (array_agg(code ORDER BY last_at_us DESC))[1] AS code, (array_agg(ref ORDER BY last_at_us DESC))[1] AS ref, count(*) AS read
FROM (SELECT * FROM error_stats WHERE hour_at_us >= $1 ORDER BY hour_at_us DESC LIMIT $3) AS newest
GROUP BY error_class, model, span

-- name: causes
-- Failed jobs that nobody made again or dropped, by cause, of each class the newest. $1 classes; $2 from, epoch µs; $3 so many
SELECT j.failure_class, j.failure_code, count(*) AS jobs, count(DISTINCT j.account) AS people, sum(j.price)::bigint AS refunded,
       min(j.ended_at_us) AS first_at_us, max(j.ended_at_us) AS last_at_us, max(j.n) AS read,
       (array_agg(j.job ORDER BY j.ended_at_us DESC))[1:3] AS samples,
       (array_agg(j.failure_ref ORDER BY j.ended_at_us DESC))[1] AS ref,
       left(encode(sha256(convert_to(j.failure_class || ' ' || j.failure_code, 'UTF8')), 'hex'), 8) AS "group"
FROM unnest($1::text[]) AS class
CROSS JOIN LATERAL (
    SELECT *, row_number() OVER () AS n FROM (
        SELECT * FROM job_status WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND failure_class = class
          AND ended_at_us >= $2 ORDER BY ended_at_us DESC LIMIT $3) AS newest) AS j
WHERE NOT j.gifted GROUP BY j.failure_class, j.failure_code ORDER BY jobs DESC, last_at_us DESC, 1, 2

-- name: words
-- What companies said, where it is still kept, noted as read once in a quarter of an hour. $1 references, $2 actor, $3 page
WITH said AS (
    SELECT ref, account, words FROM outside_words WHERE ref = ANY ($1::text[])
), lately AS MATERIALIZED (
    SELECT account FROM person_reads WHERE read_at > clock_timestamp() - interval '15 minutes' AND actor = $2 AND what = $3
), noted AS (
    INSERT INTO person_reads (actor, what, account)
    SELECT DISTINCT $2, $3, account FROM said WHERE account NOT IN (SELECT account FROM lately)
)
SELECT ref, words FROM said

-- name: jobs_window
-- Jobs before a place, the newest first. $1 when the place's was queued and $2 its name; $3 queued from and $4 before, epoch µs;
-- $5 so many; $6 of an account
SELECT * FROM job_status WHERE {of} (queued_at_us, job) < ($1, $2) AND queued_at_us >= $3 AND queued_at_us < $4
ORDER BY queued_at_us DESC, job DESC LIMIT $5

-- name: jobs_open
-- Unfinished jobs, the oldest first. $1 so many
SELECT s.* FROM (SELECT job FROM open_jobs ORDER BY deadline_at_us LIMIT $1) AS o JOIN job_status s USING (job)
ORDER BY s.queued_at_us, s.job

-- name: job_row
-- One job as the read model has it, its place in the log's end, and whether its message may have come twice. $1 job
SELECT s.*, (SELECT sum(unknown_sends) FROM deliveries d WHERE d.job = s.job) AS unknown_sends FROM job_status s WHERE s.job = $1

-- name: topics
-- How far everything is that pages show
SELECT name AS topic, position FROM cursors WHERE active
UNION ALL (SELECT 'log', position FROM events ORDER BY position DESC LIMIT 1)
UNION ALL (SELECT 'models', number FROM model_changes ORDER BY number DESC LIMIT 1)

-- name: accept_invitation
-- $1 SHA-256 of the link, $2 hash of a password or NULL, $3 step of the code, $4 language, $5 SHA-256 of the session, $6 address, $7 agent
SELECT ledger.accept_invitation($1, $2, $3, $4, $5, $6, $7)

-- name: begin_login
-- $1 name, $2 address
SELECT * FROM ledger.begin_login($1, $2)

-- name: choose_language
-- $1 user, $2 language
SELECT ledger.choose_language($1, $2)

-- name: end_session
-- $1 session, $2 user or NULL: whosoever's
SELECT ledger.end_session($1, $2)

-- name: give_reason
-- Why somebody looks at a person's data from now on. $1 actor, $2 page, $3 account, $4 reason
INSERT INTO person_reads (actor, what, account, reason) VALUES ($1, $2, $3, $4)

-- name: invite_user
-- $1 id if it is a new one, $2 name, $3 role, $4 SHA-256 of the link, $5 secret for codes
SELECT ledger.invite_user($1, $2, $3, $4, $5)

-- name: invited
-- $1 SHA-256 of the link
SELECT name, role, locale, secret FROM ledger.invited($1)

-- name: nobody_has_a_password
-- For the owner of the database.
SELECT NOT EXISTS (SELECT FROM dashboard_users WHERE password_hash IS NOT NULL)

-- name: note_read
-- Whether a person's data may be shown; who looks is noted, once in a quarter of an hour. $1 actor, $2 page, $3 account, $4 whether
-- it takes a reason given within the hour
WITH mine AS (
    SELECT what, reason, read_at FROM person_reads
    WHERE read_at > clock_timestamp() - interval '1 hour' AND actor = $1 AND account = $3
), may AS (
    SELECT NOT $4 OR EXISTS (SELECT FROM mine WHERE reason <> '') AS may
), noted AS (
    INSERT INTO person_reads (actor, what, account, reason)
    SELECT $1, $2, $3, coalesce((SELECT reason FROM mine WHERE reason <> '' ORDER BY read_at DESC LIMIT 1), '')
    FROM may WHERE may AND NOT EXISTS (SELECT FROM mine WHERE what = $2 AND read_at > clock_timestamp() - interval '15 minutes')
)
SELECT may FROM may

-- name: open_session
-- $1 user, $2 step of the code, $3 SHA-256 of the session, $4 address, $5 agent
SELECT ledger.open_session($1, $2, $3, $4, $5)

-- name: session_of
-- $1 SHA-256 of the cookie
SELECT session, id, name, role, locale, unseen_s FROM ledger.session_of($1)

-- name: sessions
-- Sessions that count, the newest first. $1 user or NULL: everybody's
SELECT number, user_id, name, role, address, agent, (extract(epoch FROM made_at) * 1000000)::bigint AS made_us,
       (extract(epoch FROM seen_at) * 1000000)::bigint AS seen_us
FROM dashboard_live WHERE $1::text IS NULL OR user_id = $1 ORDER BY seen_at DESC LIMIT 200

-- name: touch_session
-- $1 session
SELECT ledger.touch_session($1)

-- name: remove_user
-- $1 name, $2 whether the name goes too
SELECT ledger.remove_user($1, $2)

-- name: users
-- Everybody who was ever let in, with their sessions of now. Names that were erased are empty.
SELECT u.id, u.name, u.role, u.invited_by, (extract(epoch FROM u.made_at) * 1000000)::bigint AS made_us,
       (extract(epoch FROM u.seen_at) * 1000000)::bigint AS seen_us,
       (extract(epoch FROM u.removed_at) * 1000000)::bigint AS removed_us,
       (SELECT count(*) FROM dashboard_live l WHERE l.user_id = u.id) AS sessions
FROM dashboard_users u ORDER BY u.removed_at IS NOT NULL, u.name, u.made_at

-- name: user_named
-- Whom a trusted proxy speaks of. $1 name
SELECT id, name, role, locale FROM dashboard_users WHERE name = $1 AND removed_at IS NULL AND name <> ''

-- name: user_names
-- $1 ids of users; who was erased has no name
SELECT 'user:' || id AS actor, name FROM dashboard_users WHERE id = ANY ($1::text[]) AND name <> ''

-- name: account_ends
-- The first and the newest event of an account. $1 stream
(SELECT version, type, data::text AS data, recorded_at_us FROM events WHERE stream = $1 ORDER BY version LIMIT 1)
UNION ALL
(SELECT version, type, data::text AS data, recorded_at_us FROM events WHERE stream = $1 ORDER BY version DESC LIMIT 1)

-- name: account_rows
-- An account's events after a version. $1 stream, $2 version, $3 at most so many, $4 up to a position
SELECT position, version, type, data::text AS data, recorded_at_us
FROM events WHERE stream = $1 AND version > $2::bigint AND version <= $2::bigint + $3::bigint AND position <= $4 ORDER BY version

-- name: acted_last
-- What people did last. $1 how many positions are looked at, $2 at most so many
SELECT position, recorded_at_us, type, stream, data::text AS data, data ->> 'actor' AS actor FROM events
WHERE position > (SELECT position FROM events ORDER BY position DESC LIMIT 1) - $1::bigint
  AND type IN ({acted}) AND data ->> 'actor' <> '' ORDER BY position DESC LIMIT $2

-- name: books_of_days
-- The books at the end of a day: issued, spent, revoked, expired, with users, and what was sold of the issued; up to which
-- position and when. $1 day
SELECT -granted AS issued, charged - refunded AS spent, revoked, expired, granted - charged + refunded - revoked - expired AS users,
       sold, c.position, (extract(epoch FROM c.updated_at) * 1000000)::bigint AS updated_us
FROM (SELECT coalesce(sum(granted), 0)::bigint AS granted, coalesce(sum(charged), 0)::bigint AS charged,
             coalesce(sum(refunded), 0)::bigint AS refunded, coalesce(sum(revoked), 0)::bigint AS revoked,
             coalesce(sum(expired), 0)::bigint AS expired, coalesce(sum(sold), 0)::bigint AS sold
      FROM daily WHERE day <= $1) AS days
CROSS JOIN (SELECT coalesce(max(position), 0) AS position, max(updated_at) AS updated_at
            FROM cursors WHERE name = 'daily' AND active) AS c

-- name: comparisons
-- The newest comparisons with the providers' books. $1 at most so many
SELECT provider, payments, refunds, (extract(epoch FROM since) * 1000000)::bigint AS since_us,
       (extract(epoch FROM began_at) * 1000000)::bigint AS began_us, (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_us,
       (SELECT count(*) FROM payment_differences d WHERE d.comparison = c.comparison) AS differences,
       (SELECT count(*) FROM payment_differences d WHERE d.comparison = c.comparison AND NOT repaired) AS open
FROM payment_comparisons c ORDER BY comparison DESC LIMIT $1

-- name: costs_told
-- What the provider told to have charged for the newest videos of some models. $1 models, $2 at most so many videos of each
SELECT m.model, e.position, (e.data ->> 'charged_milli')::bigint AS charged_milli
FROM unnest($1::text[]) AS m (model)
CROSS JOIN LATERAL (SELECT job FROM job_times WHERE model = m.model AND made_us IS NOT NULL ORDER BY ended_at_us DESC LIMIT $2) AS j
JOIN LATERAL (SELECT position, data FROM events WHERE stream = 'job-' || j.job AND type IN ('JobSucceeded', 'JobFailed') OFFSET 0) AS e
    ON e.data ->> 'charged_milli' IS NOT NULL

-- name: cursor_of
-- Up to which position a read model has come. $1 its name
SELECT coalesce(max(position), 0) FROM cursors WHERE name = $1 AND active

-- name: differences
-- What differed when each provider's book was compared last. $1 at most so many
SELECT c.provider, (extract(epoch FROM c.began_at) * 1000000)::bigint AS began_us, d.kind, d.object, d.payment, d.provider_payment,
       d.provider_refund, d.ours_minor, d.theirs_minor, d.currency, d.repaired, d.note
FROM (SELECT DISTINCT ON (provider) * FROM (SELECT * FROM payment_comparisons WHERE ended_at IS NOT NULL ORDER BY comparison DESC LIMIT 100) AS recent
      ORDER BY provider, comparison DESC) AS c
JOIN payment_differences d USING (comparison) ORDER BY d.repaired, c.provider, d.kind LIMIT $1

-- name: jobs_of
-- An account's newest jobs. $1 account, $2 at most so many
SELECT job, order_id, number, of_jobs, model, state, price, failure_class, queued_at_us, ended_at_us
FROM job_status WHERE account = $1 ORDER BY queued_at_us DESC LIMIT $2

-- name: messages_of
-- What the chat was told of some jobs, payments and an account. $1 their names, $2 at most so many
SELECT job, kind, position, state, attempts, last_error, (extract(epoch FROM owed_at) * 1000000)::bigint AS owed_us,
       (extract(epoch FROM settled_at) * 1000000)::bigint AS settled_us
FROM deliveries WHERE job = ANY ($1::text[]) ORDER BY owed_at DESC LIMIT $2

-- name: named
-- What is called so, by kind. $1 the name, $2 the same as a number or NULL, $3 at most so many
SELECT kind, name FROM (
    SELECT CASE split_part(stream, '-', 1) WHEN 'account' THEN 1 WHEN 'job' THEN 2 WHEN 'payment' THEN 3 ELSE 4 END AS rank,
           split_part(stream, '-', 1) AS kind, substr(stream, strpos(stream, '-') + 1) AS name
    FROM events WHERE version = 1 AND stream IN ('account-' || $1, 'job-' || $1, 'payment-' || $1, 'promo-' || upper($1::text))
    UNION
    SELECT 2, 'job', job FROM job_status WHERE order_id = $1
    UNION
    SELECT 3, 'payment', payment FROM payments WHERE provider_payment = $1 AND provider_payment <> ''
    UNION
    SELECT 3, 'payment', substr(stream, 9) FROM events
    WHERE type = 'PaymentSucceeded' AND data ->> 'provider_payment' IN ($1, substr($1, strpos($1, ':') + 1))
    UNION
    SELECT 3, 'payment', substr(stream, 9) FROM events WHERE type = 'PaymentRefunded' AND data ->> 'provider_refund' = $1
    UNION
    SELECT 5, 'position', position::text FROM events WHERE position = $2::bigint
) AS found ORDER BY rank, name LIMIT $3

-- name: now_us
-- The database's time, epoch microseconds.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint

-- name: payment_named
-- $1 our id
SELECT payment, account, provider, package, credits, amount_minor, currency, test, state, paid_minor, refunded_minor, flag,
       ordered_at_us, position
FROM payments WHERE payment = $1

-- name: payments_all
-- Payments. $1 state and $2 provider, or NULL
SELECT * FROM payments WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR provider = $2) ORDER BY payment

-- name: payments_of
-- An account's newest payments. $1 account, $2 at most so many
SELECT payment, account, provider, package, credits, amount_minor, currency, test, state, paid_minor, refunded_minor, flag,
       ordered_at_us, position
FROM payments WHERE account = $1 ORDER BY ordered_at_us DESC LIMIT $2

-- name: payments_window
-- The newest payments. $1 ordered up to this position or NULL, $2 at most so many
SELECT p.payment, p.account, p.provider, p.package, p.credits, p.amount_minor, p.currency, p.test, p.state, p.paid_minor,
       p.refunded_minor, p.flag, p.ordered_at_us, p.position, o.position AS ordered_at
FROM (SELECT position, substr(stream, 9) AS payment FROM events
      WHERE type = 'PaymentOrdered' AND ($1::bigint IS NULL OR position <= $1) ORDER BY position DESC LIMIT $2) AS o
CROSS JOIN LATERAL (SELECT * FROM payments WHERE payment = o.payment OFFSET 0) AS p ORDER BY o.position DESC

-- name: people_active
-- Accounts of the newest events, with their balances. $1 how many positions are looked at, $2 at most so many accounts
SELECT b.account, b.balance, b.debt, b.charges, b.opened_at_us, b.updated_at_us, b.position
FROM (SELECT stream, max(position) AS last FROM events
      WHERE position > (SELECT position FROM events ORDER BY position DESC LIMIT 1) - $1::bigint AND stream LIKE 'account-%'
      GROUP BY stream ORDER BY last DESC LIMIT $2) AS active
CROSS JOIN LATERAL (SELECT * FROM balances WHERE account = substr(active.stream, 9) OFFSET 0) AS b
ORDER BY active.last DESC

-- name: position_of_version
-- $1 stream, $2 version
SELECT position FROM events WHERE stream = $1 AND version = $2

-- name: verified
-- Verifications, the newest first. $1 before this one or NULL, $2 only what found something, $3 at most so many
SELECT number, (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_us, whole, events, position, found, report::text AS report
FROM verification_runs WHERE ($1::bigint IS NULL OR number < $1) AND (found > 0 OR NOT $2) ORDER BY number DESC LIMIT $3

-- name: account_of_telegram
-- $1 Telegram id
SELECT account FROM accounts WHERE telegram_id = $1

-- name: telegram_id_of
-- $1 account
SELECT telegram_id FROM accounts WHERE account = $1
