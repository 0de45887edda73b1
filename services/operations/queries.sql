-- name: dead_letter_groups
-- Dead letters by class and code, the most first, with the reference of the newest's words. $1 classes; $2 model and
-- $3 ended at or after, µs, may be null
SELECT left(encode(sha256(convert_to(failure_class || ' ' || failure_code, 'UTF8')), 'hex'), 8) AS "group",
       failure_class, failure_code, count(*) AS jobs, count(DISTINCT account) AS sellers,
       min(ended_at_us) AS first_at_us, max(ended_at_us) AS last_at_us,
       string_agg(DISTINCT model, ', ' ORDER BY model) AS models,
       (array_agg(failure_ref ORDER BY ended_at_us DESC))[1] AS failure_ref
FROM job_status
WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND NOT gifted
  AND failure_class = ANY ($1::text[])
  AND ($2::text IS NULL OR model = $2)
  AND ($3::bigint IS NULL OR ended_at_us >= $3)
GROUP BY failure_class, failure_code
ORDER BY jobs DESC, last_at_us DESC, 1

-- name: find_dead_letters
-- Failed jobs that an operator has neither made again nor dropped, the newest first. $1 classes of their failure;
-- $2 model, $3 ended at or after, µs, and $4 their group, may be null; $5 at most so many
SELECT * FROM job_status
WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND NOT gifted
  AND failure_class = ANY ($1::text[])
  AND ($2::text IS NULL OR model = $2)
  AND ($3::bigint IS NULL OR ended_at_us >= $3)
  AND ($4::text IS NULL OR $4 = left(encode(sha256(convert_to(failure_class || ' ' || failure_code, 'UTF8')), 'hex'), 8))
ORDER BY ended_at_us DESC, job LIMIT $5

-- name: find_jobs
-- Jobs, the newest first. $1 state, or `open` for all that have not ended; $2 account; $3 class of the last failure;
-- $4 queued at or after, µs; each may be null. $5 at most so many
SELECT * FROM job_status
WHERE ($1::text IS NULL OR state = $1 OR ($1 = 'open' AND state NOT IN ('succeeded', 'failed')))
  AND ($2::text IS NULL OR account = $2)
  AND ($3::text IS NULL OR failure_class = $3)
  AND ($4::bigint IS NULL OR queued_at_us >= $4)
ORDER BY queued_at_us DESC, job LIMIT $5

-- name: jobs_named
-- These jobs, as the read model has them. $1 jobs
SELECT * FROM job_status WHERE job = ANY ($1::text[])

-- name: open_jobs_of_model
-- How many unfinished jobs were ordered from a model. $1 model, $2 of so many jobs that are due first, or NULL: of all
SELECT count(*) FROM (SELECT position FROM open_jobs ORDER BY deadline_at_us LIMIT $2) AS o
CROSS JOIN LATERAL (SELECT data FROM events WHERE position = o.position OFFSET 0) AS queued WHERE queued.data ->> 'model' = $1

-- name: receipt_of
-- $1 key
SELECT position, command_events, recorded_at_us, body_hash FROM events WHERE key = $1

-- name: projection_behind
-- How many events a projection has not applied yet, and the age of the oldest of them in seconds. $1 name
SELECT (SELECT coalesce(max(position), 0) FROM events) - c.position AS events,
       extract(epoch FROM clock_timestamp()) - e.recorded_at_us / 1e6 AS age_s
FROM cursors c JOIN events e ON e.position = c.position + 1
WHERE c.name = $1 AND c.active

-- name: stats_daily
-- Days, the oldest first. $1 the first and $2 the last, as `2026-11-30`; columns in their fields' order
SELECT {columns} FROM daily WHERE day BETWEEN $1 AND $2 ORDER BY day

-- name: stats_errors
-- Failures by model and class, or ($3) by hour too, the most jobs first. $1 from and $2 before, µs, whole hours
SELECT CASE WHEN $3 THEN hour_at_us END AS hour_at_us, error_class, model,
       sum(submissions_failed)::bigint AS submissions_failed, sum(jobs_failed)::bigint AS jobs_failed,
       max(last_at_us) AS last_at_us,
       (array_agg(code ORDER BY last_at_us DESC))[1] AS code,
       (array_agg(ref ORDER BY last_at_us DESC))[1] AS ref
FROM error_stats
WHERE hour_at_us >= $1 AND hour_at_us < $2
GROUP BY 1, 2, 3
ORDER BY 1 DESC, jobs_failed DESC, submissions_failed DESC, 2, 3

-- name: stats_styles
-- Ended jobs by style: their videos and what sellers think of them. $1 from and $2 before, µs
SELECT style, count(*) AS jobs, count(*) FILTER (WHERE video <> '') AS videos,
       count(*) FILTER (WHERE stars > 3) AS liked, count(*) FILTER (WHERE stars BETWEEN 1 AND 3) AS disliked
FROM job_status WHERE ended_at_us >= $1 AND ended_at_us < $2
GROUP BY style ORDER BY videos DESC, style

-- name: stats_times
-- How long jobs that ended in a time spent in each state, by model and over all (model null): so many, and in
-- microseconds the percentiles 50, 95, 99 and 100. $1 from and $2 before, µs; $3 model, may be null
SELECT model, part, count(us) AS jobs,
       percentile_disc(ARRAY[0.5, 0.95, 0.99, 1]) WITHIN GROUP (ORDER BY us) AS percentiles
FROM job_times
CROSS JOIN LATERAL (VALUES (1, 'queued', queued_us), (2, 'writing', writing_us), (3, 'submitting', submitting_us),
                           (4, 'rendering', rendering_us), (5, 'retrying', nullif(retrying_us, 0)),
                           (6, 'in all', ended_at_us - queued_at_us), (7, 'one video', made_us)) AS p (number, part, us)
WHERE ended_at_us >= $1 AND ended_at_us < $2 AND us IS NOT NULL
  AND ($3::text IS NULL OR model = $3)
GROUP BY GROUPING SETS ((model, number, part), (number, part))
ORDER BY model NULLS FIRST, number

-- name: operation_end
-- Ends one that is this process's still: done, when all targets were gone through. $1 operation, $2 claims
UPDATE operations SET state = CASE WHEN done = cardinality(targets) THEN 'done' ELSE 'aborted' END, ended_at = clock_timestamp(), moved_at = clock_timestamp(), taken_until = '-infinity'
WHERE operation = $1 AND claims = $2 AND ended_at IS NULL

-- name: operation_keep
-- Keeps one for $3 seconds more and says how far it has come; null: it is another's by now. $1 operation, $2 claims, $4 what is told
UPDATE operations SET taken_until = clock_timestamp() + make_interval(secs => $3), told = coalesce($4, told),
       moved_at = CASE WHEN told IS DISTINCT FROM coalesce($4, told) THEN clock_timestamp() ELSE moved_at END
WHERE operation = $1 AND claims = $2 AND ended_at IS NULL
RETURNING aborted_by <> '' AS aborted

-- name: operation_move
-- Marks the next target as gone through, with why it was refused, if so. $1 operation, $2 claims, $3 kept for so many seconds, $4 target,
-- $5 why or null
UPDATE operations SET done = done + 1, moved_at = clock_timestamp(), taken_until = clock_timestamp() + make_interval(secs => $3),
       refused = CASE WHEN $5::text IS NULL THEN refused ELSE refused || jsonb_build_array(jsonb_build_array($4::text, $5)) END
WHERE operation = $1 AND claims = $2 AND ended_at IS NULL
RETURNING aborted_by <> '' AS aborted

-- name: operation_named
-- One, with its targets. $1 operation
SELECT operation, what, targets, argument, credits, actor, reason, state, aborted_by, done, refused, told,
       (extract(epoch FROM requested_at) * 1000000)::bigint AS requested_at_us,
       (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_at_us
FROM operations WHERE operation = $1

-- name: operation_request
-- Asks for one; false when it is known. $1 operation, $2 what, $3 targets, $4 argument, $5 credits, $6 actor, $7 reason
SELECT ledger.request_operation($1, $2, $3, $4, $5, $6, $7)

-- name: operation_abort
-- $1 operation, $2 actor
SELECT ledger.abort_operation($1, $2)

-- name: operation_take
-- Takes the oldest that nobody has. $1 what may be taken, $2 for so many seconds
UPDATE operations o SET state = 'running', claims = claims + 1, taken_until = clock_timestamp() + make_interval(secs => $2)
WHERE o.operation = (SELECT operation FROM operations
                     WHERE ended_at IS NULL AND what = ANY ($1::text[]) AND taken_until < clock_timestamp()
                     ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING o.operation, o.what, o.targets, o.argument, o.actor, o.reason, o.done, o.claims, o.aborted_by <> '' AS aborted

-- name: operations_newest
-- $1 at most so many
SELECT operation, what, targets[1] AS target, cardinality(targets) AS of, credits, actor, reason, state, aborted_by, done, refused, told,
       (extract(epoch FROM requested_at) * 1000000)::bigint AS requested_at_us,
       (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_at_us
FROM operations ORDER BY requested_at DESC LIMIT $1

-- name: operations_unmoved_since
-- Since when, epoch seconds, the one that moved longest ago waits; 0: none does.
SELECT coalesce(extract(epoch FROM min(moved_at)), 0)::float8 FROM operations WHERE ended_at IS NULL

-- name: moved_alone
-- Credits that somebody gave and took in the last 24 hours without a second person. $1 actor
SELECT coalesce(sum((e.data ->> 'amount')::bigint), 0)::bigint
FROM events e
WHERE e.type IN ('CreditsGranted', 'CreditsRevoked') AND e.data ->> 'actor' = $1 AND e.data ->> 'actor' <> ''
  AND e.position > audit.position_at(clock_timestamp() - interval '1 day')
  AND (SELECT first.type FROM events first WHERE first.position <= e.position AND first.key IS NOT NULL
       ORDER BY first.position DESC LIMIT 1) <> 'ChangeApproved'

-- name: open_proposals
-- Changes that wait for a second person, the newest first, 100 at most.
SELECT p.position, p.recorded_at_us, substr(p.stream, 9) AS account, p.data ->> 'change' AS change, p.data ->> 'what' AS what,
       (p.data ->> 'amount')::bigint AS amount, p.data ->> 'reason' AS reason, p.data ->> 'actor' AS actor,
       (p.data ->> 'ends_at_us')::bigint AS ends_at_us
FROM (SELECT * FROM events WHERE type = 'ChangeProposed' ORDER BY position DESC LIMIT 500) AS p
WHERE (p.data ->> 'ends_at_us')::bigint > extract(epoch FROM clock_timestamp()) * 1000000
  AND NOT EXISTS (SELECT FROM events e WHERE e.stream = p.stream AND e.version > p.version
                  AND (e.type = 'AccountForgotten' OR e.type IN ('ChangeApproved', 'ChangeWithdrawn')
                                                      AND e.data ->> 'change' = p.data ->> 'change'))
ORDER BY p.position DESC LIMIT 100

-- name: form_answered
-- What became of a form: an operation's page or an event's, null for none. $1 the form's key
SELECT coalesce((SELECT '/operations/' || operation FROM operations WHERE operation = $1),
                (SELECT '/events/' || position FROM events WHERE key IN ('dashboard:' || $1, 'operator:' || $1) LIMIT 1))
