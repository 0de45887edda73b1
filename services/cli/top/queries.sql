-- name: errors
-- Classes of errors by model that came within the last $1 seconds, with the counts of the hours that this touches and
-- the newest code; the worst first, at most $2
SELECT error_class, model, sum(jobs_failed)::bigint AS jobs, sum(submissions_failed)::bigint AS submissions,
       greatest(extract(epoch FROM clock_timestamp()) - max(last_at_us) / 1e6, 0)::float8 AS ago_s,
       (array_agg(code ORDER BY last_at_us DESC))[1] AS code
FROM error_stats
WHERE hour_at_us > (extract(epoch FROM clock_timestamp()) - 3600 - $1) * 1000000
GROUP BY error_class, model
HAVING max(last_at_us) > (extract(epoch FROM clock_timestamp()) - $1) * 1000000
ORDER BY jobs DESC, submissions DESC, error_class, model LIMIT $2

-- name: jobs
-- Unfinished jobs by state and by the process that makes them, as the read model has them; one that it does not know
-- yet is queued
SELECT coalesce(s.state, 'queued') AS state, coalesce(s.worker, '') AS worker, count(*) AS jobs
FROM open_jobs o LEFT JOIN job_status s ON s.job = o.job GROUP BY 1, 2

-- name: oldest
-- The oldest unfinished job: for how long, and how many seconds until its deadline
SELECT o.job, coalesce(s.state, 'queued') AS state, coalesce(s.model, '') AS model,
       (extract(epoch FROM clock_timestamp()) - e.recorded_at_us / 1e6)::float8 AS age_s,
       (o.deadline_at_us / 1e6 - extract(epoch FROM clock_timestamp()))::float8 AS left_s
FROM (SELECT job, position, deadline_at_us FROM open_jobs ORDER BY position LIMIT 1) o
JOIN events e ON e.position = o.position
LEFT JOIN job_status s ON s.job = o.job

-- name: waiting
-- What waits for somebody: taps for the bot, messages for the notifier, failed jobs for an operator ($1 the classes
-- that park one); and what maintenance's verification found when
SELECT (SELECT count(*) FROM updates WHERE parked_at IS NULL) AS updates,
       (SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')) AS messages,
       (SELECT count(*) FROM job_status WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND NOT gifted
                                          AND failure_class = ANY ($1::text[])) AS dead_letters,
       extract(epoch FROM clock_timestamp() - v.ended_at)::float8 AS verified_s, v.problems::text AS problems
FROM (SELECT) AS one LEFT JOIN (SELECT * FROM verification_runs ORDER BY number DESC LIMIT 1) AS v ON true

-- name: window
-- What the log took in the last $1 seconds, or in the time of its newest $2 events, whichever is less. Order and limit
-- keep it to one bounded range of the primary key; the place is a subquery of its own, to be looked for once
WITH newest AS (
    SELECT type, recorded_at_us FROM events
    WHERE position > (SELECT audit.position_at(clock_timestamp() - make_interval(secs => $1)))
    ORDER BY position DESC LIMIT $2
)
SELECT CASE WHEN count(*) < $2 THEN $1
            ELSE greatest(extract(epoch FROM clock_timestamp()) - min(recorded_at_us) / 1e6, 0.001) END::float8 AS seconds,
       count(*) AS events,
       count(*) FILTER (WHERE type = 'JobQueued') AS jobs_queued,
       count(*) FILTER (WHERE type = 'SubmissionIntended') AS submissions,
       count(*) FILTER (WHERE type = 'JobSucceeded') AS videos,
       count(*) FILTER (WHERE type = 'JobFailed') AS failures
FROM newest
