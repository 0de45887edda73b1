-- name: alert_seen
-- Whether a cause is so now. $1 the cause, $2 whether, $3 its detail
INSERT INTO owner_alerts AS a (cause, present, detail) VALUES ($1, $2, $3)
ON CONFLICT (cause) DO UPDATE
SET present = excluded.present, changed_at = clock_timestamp(),
    detail = CASE WHEN excluded.present THEN excluded.detail ELSE a.detail END
WHERE a.present <> excluded.present

-- name: alert_told
-- What came of telling: $1 the cause, $2 whether it was told to be so, $3 why it was not taken, or nothing. The next message
-- about the cause not before ten minutes.
UPDATE owner_alerts SET last_error = $3, told = CASE $3::text WHEN '' THEN $2 ELSE told END,
    attempts = CASE $3::text WHEN '' THEN 0 ELSE attempts END,
    due_at = CASE $3::text WHEN '' THEN clock_timestamp() + interval '10 minutes' ELSE due_at END
WHERE cause = $1

-- name: alerts_take
-- What is due to be told, of the causes $1. Taken until the back-off is over: 15 s, 30 s, … at most 10 minutes
UPDATE owner_alerts
SET attempts = attempts + 1, due_at = clock_timestamp() + least(interval '15 seconds' * 2 ^ least(attempts, 6), interval '10 minutes')
WHERE present <> told AND due_at <= clock_timestamp() AND cause = ANY ($1::text[])
RETURNING cause, present, detail

-- name: archived
-- When a WAL file was archived last, and when that failed last; NULL: never.
SELECT extract(epoch FROM last_archived_time)::float8 AS archived_at_s,
       extract(epoch FROM last_failed_time)::float8 AS failed_at_s
FROM pg_stat_archiver

-- name: blobs_of_nobody
-- What is to be deleted, and whether for the last time: soon after it became nobody's, and $1 seconds later once more.
SELECT blob, used_at < clock_timestamp() - make_interval(secs => $1) FROM blobs
WHERE account IS NULL AND (used_at < clock_timestamp() - make_interval(secs => $1)
                           OR used_at > clock_timestamp() - interval '15 minutes')

-- name: contacts_drop
-- Payments' addresses and messages, and with which words the provider was asked, longer than $1 seconds ago, at most $2 of
-- each; not of what is still looked after.
WITH links AS (
    DELETE FROM payment_links WHERE payment IN (
        SELECT payment FROM payment_links l
        WHERE created_at < clock_timestamp() - make_interval(secs => $1)
          AND NOT EXISTS (SELECT FROM payment_watch w WHERE w.payment = l.payment)
        ORDER BY created_at LIMIT $2)
    RETURNING payment
), shown AS (
    DELETE FROM status_messages WHERE subject = 'payment' AND name IN (SELECT payment FROM links)
), asked AS (
    DELETE FROM payment_requests WHERE (payment, refund) IN (
        SELECT payment, refund FROM payment_requests r
        WHERE created_at < clock_timestamp() - make_interval(secs => $1)
          AND NOT EXISTS (SELECT FROM payment_watch w WHERE w.payment = r.payment)
        ORDER BY created_at LIMIT $2)
    RETURNING 1
)
SELECT (SELECT count(*) FROM links) + (SELECT count(*) FROM asked)

-- name: cost_events
-- What says what jobs cost, among the $2 events after position $1. The length of a video is in its job's first event, which may
-- be of another day.
SELECT substr(e.stream, 5) AS job, e.type, coalesce((e.data ->> 'submission')::int, 0), e.data ->> 'model',
       coalesce((q.data ->> 'seconds')::int, 0), (e.data ->> 'charged_milli')::bigint
FROM events e LEFT JOIN events q ON q.stream = e.stream AND q.version = 1 AND e.type IN ('JobQueued', 'SubmissionIntended')
WHERE e.position > $1 AND e.position <= $1 + $2
  AND e.type IN ('JobQueued', 'SubmissionIntended', 'SubmissionAccepted', 'SubmissionFailed', 'JobSucceeded', 'JobFailed',
                 'VideoGifted')
ORDER BY e.position

-- name: day_start
-- The last position before day $1, in days since 1970 (UTC)
SELECT audit.position_at(to_timestamp($1::bigint * 86400) - interval '1 microsecond')

-- name: dead_letters
-- Failed jobs that an operator has neither made again nor dropped, by class. $1 the classes that park a job
SELECT failure_class, count(*) AS jobs FROM job_status
WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND NOT gifted AND failure_class = ANY ($1::text[])
GROUP BY 1

-- name: deliveries_drop
-- Settled messages that were owed longer than $1 seconds ago, at most $2, with the status lines of their jobs and orders
WITH gone AS (
    DELETE FROM deliveries WHERE (job, kind) IN (
        SELECT job, kind FROM deliveries
        WHERE owed_at < clock_timestamp() - make_interval(secs => $1) AND state NOT IN ('pending', 'sending')
        ORDER BY owed_at LIMIT $2)
    RETURNING job, order_id
), lines AS (
    DELETE FROM order_jobs WHERE job IN (SELECT job FROM gone)
), shown AS (
    DELETE FROM status_messages WHERE subject = 'order' AND name IN (SELECT order_id FROM gone)
)
SELECT count(*) FROM gone

-- name: differences
-- What comparisons found and could not put right, by kind. $1 comparisons
SELECT kind, count(*) FROM payment_differences WHERE comparison = ANY ($1) AND NOT repaired GROUP BY kind

-- name: drafts_drop
-- Drafts that nobody has touched for $1 seconds, with their words, at most $2; those that are orders in the log are marked so.
WITH old AS MATERIALIZED (
    SELECT draft, brief, EXISTS (SELECT FROM events WHERE key = 'order:' || draft) AS made FROM drafts
    WHERE NOT ordered AND used_at < clock_timestamp() - make_interval(secs => $1)
      AND NOT EXISTS (SELECT FROM notice_requests r WHERE r.draft = drafts.draft)
    ORDER BY used_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE drafts SET ordered = true WHERE draft IN (SELECT draft FROM old WHERE made)
), gone AS (
    DELETE FROM texts WHERE ref IN (SELECT brief FROM old WHERE NOT made) RETURNING 1
)
SELECT count(*) FROM gone

-- name: entries_of
-- Where the stream entries of unfinished jobs stand, in order, for those jobs to which nothing has happened for a
-- while: one entry from JobQueued, one from every JobReissued. $1 jobs, $2 seconds
SELECT o.job, o.account, array_agg(e.position ORDER BY e.position) FILTER (WHERE e.type IN ('JobQueued', 'JobReissued'))
           AS positions
FROM open_jobs o JOIN events e ON e.stream = 'job-' || o.job
WHERE o.job = ANY ($1::text[])
GROUP BY o.job, o.account
HAVING max(e.recorded_at_us)
       <= (extract(epoch FROM clock_timestamp() - make_interval(secs => $2)) * 1000000)::bigint

-- name: files_due
-- Files of age, at most $3: unused for $1 seconds, or a video and stored $2 seconds ago. Not what a draft, a delivery that is
-- not settled, or an open job of the account may need.
SELECT blob, account, logged FROM blobs b
WHERE account IS NOT NULL
  AND (used_at < clock_timestamp() - make_interval(secs => $1) AND used_at < 'infinity'
       OR used_at = 'infinity' AND stored_at < clock_timestamp() - make_interval(secs => $2) AND blob LIKE 'videos/%')
  AND NOT EXISTS (SELECT FROM drafts WHERE photo = b.blob)
  AND NOT EXISTS (SELECT FROM deliveries d WHERE d.blob = b.blob AND d.state IN ('pending', 'sending'))
  AND NOT (logged AND EXISTS (SELECT FROM open_jobs o WHERE o.account = b.account))
ORDER BY stored_at LIMIT $3 {lock}

-- name: files_disown
-- Those that are still due are nobody's from here on, and leave a mark where the log may name them. $1..$3 as in files_due,
-- $4 files, $5 their SHA-256
WITH due AS MATERIALIZED (
    {due}
), gone AS (
    UPDATE blobs b SET account = NULL, used_at = clock_timestamp()
    FROM due JOIN unnest($4::text[], $5::text[]) AS seen (blob, sha256) USING (blob)
    WHERE b.blob = due.blob RETURNING b.blob, seen.sha256, b.logged
), marks AS (
    INSERT INTO swept_blobs (blob, sha256, why)
    SELECT blob, sha256, CASE WHEN sha256 IS NULL THEN 'missing' ELSE 'age' END FROM gone WHERE logged
    ON CONFLICT DO NOTHING
), unjudged AS (
    DELETE FROM verdicts v USING due WHERE v.account = due.account AND v.content = due.blob
)
SELECT count(*) FROM gone

-- name: invitations_bought
-- Invited accounts that have bought and were not rewarded yet, page by page; erased ones are out.
-- $1 position of the last one seen, $2 at most so many
SELECT o.position, substr(o.stream, length('account-') + 1) AS account, o.data ->> 'invited_by' AS inviter, '' AS job
FROM events o
WHERE o.type = 'AccountOpened' AND (o.data ->> 'invited_by') <> '' AND o.position > $1
  AND EXISTS (SELECT FROM events e WHERE e.stream = o.stream AND e.type = 'CreditsGranted'
                                     AND e.data ->> 'kind' = 'purchase')
  AND NOT EXISTS (SELECT FROM events e WHERE e.stream = o.stream
                                         AND e.type IN ('InvitationRewarded', 'AccountForgotten'))
ORDER BY o.position LIMIT $2

-- name: invitations_made_video
-- Invited accounts with a video that were not rewarded yet, page by page; erased ones are out.
-- $1 position of the last one seen, $2 at most so many
SELECT o.position, substr(o.stream, length('account-') + 1) AS account, o.data ->> 'invited_by' AS inviter, v.job
FROM events o
CROSS JOIN LATERAL (
    SELECT j.job FROM job_status j
    WHERE j.account = substr(o.stream, length('account-') + 1) AND j.state = 'succeeded'
    ORDER BY j.queued_at_us LIMIT 1
) AS v
WHERE o.type = 'AccountOpened' AND (o.data ->> 'invited_by') <> '' AND o.position > $1
  AND NOT EXISTS (SELECT FROM events e WHERE e.stream = o.stream
                                         AND e.type IN ('InvitationRewarded', 'AccountForgotten'))
ORDER BY o.position LIMIT $2

-- name: lags
-- The log's head, the position of every in-order consumer that applies events, and when the oldest event that it has
-- not applied was recorded (epoch seconds, NULL: there is none)
SELECT c.name, c.position, coalesce((SELECT max(e.position) FROM events e), 0) AS head,
       (SELECT e.recorded_at_us / 1e6 FROM events e WHERE e.position = c.position + 1)::float8 AS unapplied_at_s
FROM cursors c WHERE c.active

-- name: late_jobs
-- Jobs that failed within so many seconds, whose provider task is known and has brought nothing yet, page by page.
-- $1 seconds; $2, $3 end and job of the last one seen; $4 at most so many
SELECT job, account, ended_at_us,
       (extract(epoch FROM clock_timestamp()) - ended_at_us / 1000000.0)::float8 AS age_s
FROM job_status
WHERE state = 'failed' AND NOT gifted AND task <> ''
  AND ended_at_us > (extract(epoch FROM clock_timestamp() - make_interval(secs => $1)) * 1000000)::bigint
  AND (ended_at_us, job) > ($2, $3)
ORDER BY ended_at_us, job LIMIT $4

-- name: newest_comparisons
-- Of each provider's book the comparison that ended last, and when the older of them did
SELECT coalesce(array_agg(comparison), '{}') AS comparisons,
       coalesce(extract(epoch FROM min(ended_at)), 0)::float8 AS ended_s
FROM (SELECT DISTINCT ON (provider) comparison, ended_at FROM payment_comparisons
      WHERE ended_at <= clock_timestamp() ORDER BY provider, ended_at DESC) AS newest

-- name: notices_owe
-- Tell who asked longer than $1 seconds ago, the first $2 of them, that what they would order can be made. $3..$5 style, format
-- and seconds of what can be
WITH over AS (
    DELETE FROM notice_requests WHERE account IN (
        SELECT r.account FROM notice_requests r LEFT JOIN drafts d USING (draft)
        WHERE r.asked_at < clock_timestamp() - make_interval(secs => $1)
          AND (coalesce(d.style, ''), coalesce(d.format, ''), coalesce(d.seconds, 0))
              IN (SELECT * FROM unnest($3::text[], $4::text[], $5::bigint[]))
        ORDER BY r.asked_at LIMIT $2
        FOR UPDATE OF r SKIP LOCKED)
    RETURNING account, draft, asked_by
), kept AS (
    UPDATE drafts SET used_at = clock_timestamp() WHERE draft IN (SELECT draft FROM over) AND NOT ordered
), owed AS (
    INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale)
    SELECT account || ':' || asked_by, 'works', 0, account, draft, 1, 1, locale FROM over JOIN accounts USING (account)
    ON CONFLICT (job, kind) DO NOTHING RETURNING 1
)
SELECT count(*) FROM owed

-- name: notices_wanted
-- What people want to be told of: style, format and seconds of what they would order, and how many of them
SELECT coalesce(d.style, '') AS style, coalesce(d.format, '') AS format, coalesce(d.seconds, 0) AS seconds, count(*) AS people
FROM notice_requests r LEFT JOIN drafts d USING (draft) GROUP BY 1, 2, 3

-- name: note_sent
-- What came of sending a note: delivered, or why not. $1 its number, $2 the place, $3 why not, or nothing
UPDATE note_deliveries SET sent_at = CASE WHEN $3::text = '' THEN clock_timestamp() END, last_error = $3
WHERE number = $1 AND place = $2 AND sent_at IS NULL

-- name: notes_take
-- Notes that are due at a place: the newest checkpoint and every restoration. They are taken until their back-off is over,
-- 2 minutes, 4, 8, … at most an hour. $1 the place, $2 at most so many
INSERT INTO note_deliveries AS d (number, place, due_at)
SELECT c.number, $1::text, clock_timestamp() + interval '2 minutes' FROM checkpoints c
WHERE (c.kind = 'restored' OR c.number = (SELECT max(number) FROM checkpoints WHERE kind = 'checkpoint'))
  AND NOT EXISTS (SELECT FROM note_deliveries o WHERE o.number = c.number AND o.place = $1 AND o.sent_at IS NOT NULL)
ORDER BY c.number DESC LIMIT $2
ON CONFLICT (number, place) DO UPDATE
SET attempts = d.attempts + 1, due_at = clock_timestamp() + least(interval '1 minute' * 2 ^ least(d.attempts + 1, 6), interval '1 hour')
WHERE d.sent_at IS NULL AND d.due_at <= clock_timestamp()
RETURNING d.number, (SELECT c.note FROM checkpoints c WHERE c.number = d.number) AS note

-- name: open_jobs_by_state
-- How many unfinished jobs are in which state; one that the read model does not know yet is queued
SELECT coalesce(s.state, 'queued') AS state, count(*) AS jobs
FROM open_jobs o LEFT JOIN job_status s ON s.job = o.job GROUP BY 1

-- name: open_jobs_summary
-- How many jobs are unfinished and how many of them overdue; when the oldest was queued, when the oldest was queued
-- that nobody has started, and the earliest deadline (epoch seconds, NULL: none). From the log itself, no read model
SELECT count(*) AS open_jobs,
       count(*) FILTER (WHERE o.deadline_at_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
           AS overdue_jobs,
       (SELECT e.recorded_at_us / 1e6 FROM events e WHERE e.position = min(o.position))::float8 AS oldest_at_s,
       (SELECT e.recorded_at_us / 1e6 FROM events e WHERE e.position = min(o.position) FILTER (WHERE NOT EXISTS (
           SELECT FROM events s WHERE s.stream = 'job-' || o.job AND s.type = 'JobStarted')))::float8 AS unstarted_at_s,
       (min(o.deadline_at_us) / 1e6)::float8 AS deadline_at_s
FROM open_jobs o

-- name: orders_drop
-- Ordered drafts that nobody has touched for $1 seconds, with their words, at most $2, where every job ended as long ago and
-- the account has none open. Their photos are unused from then on.
WITH old AS MATERIALIZED (
    SELECT brief, photo FROM drafts d
    WHERE ordered AND used_at < clock_timestamp() - make_interval(secs => $1)
      AND NOT EXISTS (SELECT FROM open_jobs o WHERE o.account = d.account)
      AND NOT EXISTS (
          SELECT FROM unnest(jobs) AS job
          WHERE NOT EXISTS (
              SELECT FROM events e WHERE e.stream = 'job-' || job AND e.type IN ('JobSucceeded', 'JobFailed')
                AND e.recorded_at_us < extract(epoch FROM clock_timestamp() - make_interval(secs => $1)) * 1000000))
    ORDER BY used_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), unused AS (
    UPDATE blobs SET used_at = clock_timestamp(), logged = true WHERE blob IN (SELECT photo FROM old)
), gone AS (
    DELETE FROM texts WHERE ref IN (SELECT brief FROM old) RETURNING 1
)
SELECT count(*) FROM gone

-- name: owner_causes
-- How many jobs are two minutes past their deadline; of the last hour's prompts how many, and how many by a fallback
SELECT (SELECT count(*) FROM open_jobs
        WHERE deadline_at_us < (extract(epoch FROM clock_timestamp() - interval '2 minutes') * 1000000)::bigint) AS overdue,
       count(*) AS prompts, count(*) FILTER (WHERE coalesce(data ->> 'reason', '') <> '') AS fallbacks
FROM events
WHERE type = 'PromptWritten' AND position > audit.position_at(clock_timestamp() - interval '1 hour')

-- name: recorded_at
-- When the event at a position was recorded, epoch seconds. $1 position
SELECT (recorded_at_us / 1e6)::float8 FROM events WHERE position = $1

-- name: remind_of_drafts
-- Remind of open orders that were left at their card for $1 seconds, at most $2, once each; it keeps them as a touch does.
WITH idle AS MATERIALIZED (
    SELECT d.draft, d.account, a.locale FROM drafts d JOIN accounts a USING (account)
    WHERE NOT d.ordered AND NOT d.confirmed AND d.message_id IS NOT NULL AND a.reminders
      AND d.used_at < clock_timestamp() - make_interval(secs => $1)
      AND NOT EXISTS (SELECT FROM deliveries o WHERE o.job = d.draft AND o.kind = 'left')
      AND NOT EXISTS (SELECT FROM notice_requests r WHERE r.draft = d.draft)
    ORDER BY d.used_at LIMIT $2
    FOR UPDATE OF d SKIP LOCKED
), kept AS (
    UPDATE drafts SET used_at = now() WHERE draft IN (SELECT draft FROM idle)
), owed AS (
    INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, owed_at)
    SELECT draft, 'left', 0, account, draft, 1, 1, locale, now() FROM idle
    ON CONFLICT (job, kind) DO NOTHING RETURNING 1
)
SELECT count(*) FROM owed

-- name: remind_of_ends
-- Remind of credits that end tomorrow or in seven days, once a day, at most $3 people. $1 when today began, epoch
-- microseconds, $2 today's name. The read models only say whom to ask: what ends is read from the ledger when it is sent.
WITH owed AS (
    INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale)
    SELECT DISTINCT a.account || ':' || $2, 'ending', 0, a.account, '', 1, 1, a.locale
    FROM balances b JOIN accounts a USING (account) JOIN lots l USING (account)
    WHERE b.next_expiry_at_us < $1::bigint + 8 * 86400000000 AND a.reminders AND l.amount_left > 0
      AND (l.expires_at_us - $1) / 86400000000 IN (1, 7)
      AND NOT EXISTS (SELECT FROM deliveries o WHERE o.job = a.account || ':' || $2 AND o.kind = 'ending')
    LIMIT $3
    ON CONFLICT (job, kind) DO NOTHING RETURNING 1
)
SELECT count(*) FROM owed

-- name: early_drop
-- Photos that came before terms which nobody accepted, longer than $1 seconds ago, at most $2
WITH gone AS (
    UPDATE chat_states SET data = (data::jsonb - 'early')::json WHERE telegram_id IN (
        SELECT telegram_id FROM chat_states
        WHERE data -> 'early' IS NOT NULL AND changed_at < clock_timestamp() - make_interval(secs => $1)
        ORDER BY changed_at LIMIT $2)
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: rows_drop
-- Rows of {table} whose time {since} is longer than $1 seconds ago, at most $2
WITH gone AS (
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {table} WHERE {since} < clock_timestamp() - make_interval(secs => $1) ORDER BY {since} LIMIT $2))
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: texts_drop
-- Words that no draft needs, of accounts without an open job, kept for $1 seconds, at most $2
WITH gone AS (
    DELETE FROM texts WHERE ref IN (
        SELECT ref FROM texts t
        WHERE created_at < clock_timestamp() - make_interval(secs => $1)
          AND NOT EXISTS (SELECT FROM drafts WHERE brief = t.ref)
          AND NOT EXISTS (SELECT FROM open_jobs o WHERE o.account = t.account)
        ORDER BY created_at LIMIT $2
        FOR UPDATE SKIP LOCKED)
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: uncredited
-- Since when money is there that brought no credits, epoch seconds, 0: none. `flagged`: read from the provider, and not
-- what was ordered; for a day, since nothing but the comparison tells whether a person has settled it. `unread`: a
-- notification said so, and the provider has not let us read it yet
SELECT coalesce((SELECT min(updated_at_us) / 1e6 FROM payments
                 WHERE state = 'flagged' AND updated_at_us > (extract(epoch FROM clock_timestamp()) - 86400) * 1000000),
                0)::float8 AS flagged,
       coalesce((SELECT extract(epoch FROM min(told_at)) FROM payment_watch), 0)::float8 AS unread

-- name: unknown_submissions
-- Open jobs whose last submission was announced more than $1 seconds ago and has neither a task nor a failure:
-- job, account, submission, provider account, for how many seconds
SELECT o.job, o.account, i.submission, i.provider_account,
       (extract(epoch FROM clock_timestamp()) - i.recorded_at_us / 1000000.0)::float8 AS unknown_s
FROM open_jobs o
CROSS JOIN LATERAL (
    SELECT (e.data ->> 'submission')::bigint AS submission, e.data ->> 'provider_account' AS provider_account,
           e.recorded_at_us, e.stream, e.version
    FROM events e WHERE e.stream = 'job-' || o.job AND e.type = 'SubmissionIntended'
    ORDER BY e.version DESC LIMIT 1
) i
WHERE i.recorded_at_us <= (extract(epoch FROM clock_timestamp() - make_interval(secs => $1)) * 1000000)::bigint
  AND NOT EXISTS (
    SELECT FROM events f
    WHERE f.stream = i.stream AND f.version > i.version AND f.type IN ('SubmissionAccepted', 'SubmissionFailed')
      AND (f.data ->> 'submission')::bigint = i.submission
  )
ORDER BY i.recorded_at_us

-- name: verification_end
-- It was verified, and what is wrong. $1 as a whole, $2 so many events up to position $3, $4 findings, $5 the first of them, $6 how
-- many of each kind stand
INSERT INTO verification_runs (whole, events, position, found, report, problems) VALUES ($1, $2, $3, $4, $5::text::json, $6::text::jsonb)

-- name: watch_summary
-- What is not final: how many payments, how many refunds, and when the oldest refund was begun, epoch seconds
SELECT count(*) FILTER (WHERE refund = '') AS payments,
       count(*) FILTER (WHERE refund <> '') AS refunds,
       coalesce(extract(epoch FROM min(opened_at) FILTER (WHERE refund <> '')), 0)::float8 AS oldest_refund_at_s
FROM payment_watch
