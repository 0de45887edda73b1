-- name: backup_run
-- Leave what a run found: the fields of BackupRun in their order
INSERT INTO backup_runs (kind, backup, position, size_bytes, files, seconds, restore_s, lost_events, lost_s, problems)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: backup_status
-- When there was a good backup and a good drill last, and when the first backup; what the newest check and drill of now found.
SELECT extract(epoch FROM clock_timestamp())::float8 AS now_s,
       extract(epoch FROM max(r.ended_at) FILTER (WHERE kind = 'backup'))::float8 AS taken_at_s,
       extract(epoch FROM max(r.ended_at) FILTER (WHERE kind = 'drill' AND problems = '{}'))::float8 AS drilled_at_s,
       extract(epoch FROM min(r.ended_at) FILTER (WHERE kind = 'backup'))::float8 AS first_at_s,
       (array_agg(restore_s ORDER BY number DESC) FILTER (WHERE restore_s IS NOT NULL))[1] AS restore_s,
       (array_agg(lost_s ORDER BY number DESC) FILTER (WHERE lost_s IS NOT NULL))[1] AS lost_s,
       coalesce((SELECT array_agg(problem) FROM (
            SELECT DISTINCT ON (kind) problems FROM backup_runs WHERE kind <> 'backup' AND ended_at <= clock_timestamp() ORDER BY kind, number DESC
       ) AS newest CROSS JOIN unnest(problems) AS problem), '{}') AS problems
FROM backup_runs r WHERE ended_at <= clock_timestamp()

-- name: cursors
-- Where each in-order consumer is, and when it came there.
SELECT name, position, hash, (extract(epoch FROM updated_at) * 1000000)::bigint AS moved_at_us
FROM cursors WHERE active ORDER BY name

-- name: deliveries_forget
-- Forget messages that were never sent and that no event of the log owes.
DELETE FROM deliveries d
WHERE d.state IN ('pending', 'sending') AND NOT EXISTS (
    SELECT FROM events e WHERE e.position = d.position AND e.stream IN ('job-' || d.job, 'payment-' || d.job)
      AND e.type = CASE d.kind WHEN 'video' THEN 'JobSucceeded' WHEN 'failure' THEN 'JobFailed'
                               WHEN 'gift' THEN 'VideoGifted' ELSE 'PaymentSucceeded' END)

-- name: deliveries_keep
-- What was sent stays known, so that it is not sent twice; its position is free for the event that the log has
-- there now. Below zero: of a history that is gone.
WITH lost AS (
    SELECT d.job, d.kind, row_number() OVER (ORDER BY d.position) AS n FROM deliveries d
    WHERE d.position > 0 AND d.state NOT IN ('pending', 'sending') AND NOT EXISTS (
        SELECT FROM events e WHERE e.position = d.position AND e.stream IN ('job-' || d.job, 'payment-' || d.job)
      AND e.type = CASE d.kind WHEN 'video' THEN 'JobSucceeded' WHEN 'failure' THEN 'JobFailed'
                               WHEN 'gift' THEN 'VideoGifted' ELSE 'PaymentSucceeded' END)
), lowest AS (SELECT least(min(position), 0) AS position FROM deliveries)
UPDATE deliveries d SET position = lowest.position - lost.n
FROM lost, lowest WHERE d.job = lost.job AND d.kind = lost.kind

-- name: deliveries_lost
-- Messages owed by events that the log does not hold: how many were sent or given up, and how many were waiting.
-- Also how many others wait: in a dump that was put back, those may have been sent since.
SELECT count(*) FILTER (WHERE d.state NOT IN ('pending', 'sending')) AS settled,
       count(*) FILTER (WHERE d.state IN ('pending', 'sending')) AS waiting,
       (SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')) AS all_waiting
FROM deliveries d
WHERE d.position > 0 AND NOT EXISTS (
    SELECT FROM events e WHERE e.position = d.position AND e.stream IN ('job-' || d.job, 'payment-' || d.job)
      AND e.type = CASE d.kind WHEN 'video' THEN 'JobSucceeded' WHEN 'failure' THEN 'JobFailed'
                               WHEN 'gift' THEN 'VideoGifted' ELSE 'PaymentSucceeded' END)

-- name: drill_begins
-- The log's head, the time now in epoch microseconds, the timeline in use, what was archived last, and what the database and its
-- first superuser are called
SELECT coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1), 0) AS head,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us,
       left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline,
       (SELECT last_archived_wal FROM pg_stat_archiver) AS archived,
       current_database()::text AS database, (SELECT rolname::text FROM pg_roles WHERE oid = 10) AS owner

-- name: drill_due
-- Whether there was no drill within $1 seconds, nor within a day of one that found something. One in the future counts as none.
SELECT NOT EXISTS (
    SELECT FROM backup_runs WHERE kind = 'drill' AND ended_at BETWEEN clock_timestamp()
        - make_interval(secs => CASE WHEN problems = '{}' THEN $1::float8 ELSE least($1, 86400) END) AND clock_timestamp())

-- name: files_named
-- Photos and videos of the first $1 events that were not swept, with a video's SHA-256
SELECT f.position, f.blob, f.sha256 FROM (
    SELECT position, data -> 'video' ->> 'blob' AS blob, data -> 'video' ->> 'sha256' AS sha256
    FROM events WHERE type IN ('JobSucceeded', 'VideoGifted') AND position <= $1
    UNION ALL
    SELECT min(position), data ->> 'photo', NULL FROM events WHERE type = 'JobQueued' AND position <= $1 GROUP BY 2
) AS f
WHERE f.blob IS NOT NULL AND NOT EXISTS (SELECT FROM swept_blobs s WHERE s.blob = f.blob)
ORDER BY f.position

-- name: lines_forget
-- Forget what the status messages show of jobs that the log does not have, or has not ended: the latter are
-- written again from the log.
DELETE FROM order_jobs l
WHERE NOT EXISTS (SELECT FROM events q WHERE q.stream = 'job-' || l.job AND q.type = 'JobQueued')
   OR NOT EXISTS (SELECT FROM events e WHERE e.stream = 'job-' || l.job AND e.type IN ('JobSucceeded', 'JobFailed'))

-- name: notifier_from
-- The position after which the notifier must read again: before the first unfinished job, and before the first
-- event whose message is not in the table.
SELECT least(
    (SELECT coalesce(max(position), 0) FROM events),
    (SELECT min(position) - 1 FROM open_jobs),
    (SELECT min(e.position) - 1 FROM events e
     WHERE e.type IN ('JobSucceeded', 'JobFailed', 'VideoGifted') AND NOT EXISTS (
         SELECT FROM deliveries d WHERE d.job = substr(e.stream, 5)
           AND d.kind = CASE e.type WHEN 'JobSucceeded' THEN 'video' WHEN 'JobFailed' THEN 'failure' ELSE 'gift' END)),
    (SELECT min(e.position) - 1 FROM events e
     WHERE e.type = 'PaymentSucceeded' AND NOT EXISTS (SELECT FROM deliveries d WHERE d.position = e.position))
)

-- name: notes_listed
-- The newest notes: when they were signed, by which witnesses too, and where they went. $1 at most so many
SELECT c.number, c.kind, c.position, e.recorded_at_us AS at_us,
       coalesce((SELECT string_agg(split_part(s.witness, '+', 1), ', ' ORDER BY s.witness)
                 FROM cosignatures s WHERE s.number = c.number), '') AS cosigned_by,
       coalesce((SELECT string_agg(d.kind || CASE WHEN d.sent_at IS NULL THEN ' not yet ' || d.last_error
                                                   ELSE to_char(d.sent_at AT TIME ZONE 'UTC', ' YYYY-MM-DD"T"HH24:MI:SS"Z"') END,
                                   ', ' ORDER BY d.kind, d.sent_at)
                 FROM note_deliveries d WHERE d.number = c.number), '') AS sent_to
FROM checkpoints c LEFT JOIN events e USING (position) ORDER BY c.number DESC LIMIT $1

-- name: notes_owed_since
-- Since when a place waits for the newest note that it was to get, epoch seconds; 0: none does. $1 places
SELECT coalesce(extract(epoch FROM min(d.owed_at)), 0)::float8 FROM note_deliveries d
WHERE d.place = ANY ($1::text[]) AND d.sent_at IS NULL
  AND d.number > (SELECT coalesce(max(s.number), 0) FROM note_deliveries s WHERE s.place = d.place AND s.sent_at IS NOT NULL)

-- name: open_jobs_rebuild
-- Make the table of unfinished jobs what the log says, while nothing is appended.
SELECT ledger.rebuild_open_jobs()

-- name: open_jobs_wrong
-- Jobs that the log says are unfinished and open_jobs lacks, and the other way round.
WITH unfinished AS MATERIALIZED (
    SELECT substr(q.stream, 5) AS job FROM events q
    WHERE q.type = 'JobQueued'
      AND NOT EXISTS (SELECT FROM events e WHERE e.stream = q.stream AND e.type IN ('JobSucceeded', 'JobFailed'))
)
SELECT (SELECT count(*) FROM unfinished u WHERE NOT EXISTS (SELECT FROM open_jobs o WHERE o.job = u.job)) AS missing,
       (SELECT count(*) FROM open_jobs o WHERE NOT EXISTS (SELECT FROM unfinished u WHERE u.job = o.job)) AS extra

-- name: recorded_at
-- When position $1 was recorded, in epoch microseconds
SELECT recorded_at_us FROM events WHERE position = $1

-- name: statuses_abandon
-- Orders of which the log has no job left: their messages cannot be kept up to date.
UPDATE status_messages s SET abandoned = true, last_error = 'the order was lost when the database went back'
WHERE s.subject = 'order' AND NOT s.abandoned AND NOT EXISTS (SELECT FROM order_jobs l WHERE l.order_id = s.name)
  AND NOT EXISTS (SELECT FROM events e JOIN open_jobs o ON e.position = o.position
                  WHERE e.data ->> 'order' = s.name)
