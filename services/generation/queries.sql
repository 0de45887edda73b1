-- name: keys_needed
-- Whose key may still bring a video: provider account, how many jobs, and until when at most (epoch seconds). An unfinished
-- job's, and as long as a late video is looked for, $1 seconds, a failed one's, of its submission that was not refused
SELECT i.data ->> 'provider_account' AS account, count(*) AS jobs, max(j.end_us / 1e6 + $1)::float8 AS until_s
FROM (
    SELECT job, deadline_at_us AS end_us FROM open_jobs
    UNION ALL
    SELECT job, coalesce(ended_at_us, deadline_at_us) FROM job_status
    WHERE state <> 'succeeded' AND NOT gifted AND job NOT IN (SELECT job FROM open_jobs)
      AND coalesce(ended_at_us, deadline_at_us) > (extract(epoch FROM clock_timestamp()) - $1) * 1000000
) j JOIN events i ON i.stream = 'job-' || j.job AND i.type = 'SubmissionIntended'
WHERE NOT EXISTS (SELECT FROM events r WHERE r.stream = i.stream AND r.type = 'SubmissionFailed'
                                         AND r.data ->> 'submission' = i.data ->> 'submission')
GROUP BY 1 ORDER BY 1

-- name: queued_at
-- When a job was queued. $1 its stream
SELECT recorded_at_us FROM events WHERE stream = $1 AND version = 1

-- name: render_times
-- How long newest videos took, from the provider's acceptance to the video stored: by model (seconds null), and by model
-- and the length ordered: how many there are, median and 95th percentile in seconds, and the median of the last $3 of that
-- model and length. $1 so many of the newest events are looked at, $2 so many videos at most. Both bound the cost: one
-- range of the primary key, then (LATERAL, LIMIT) a job's few events by (stream, version)
WITH made AS (
    SELECT stream, position, recorded_at_us, (data ->> 'submission')::int AS submission
    FROM events
    WHERE position > (SELECT coalesce(max(position), 0) FROM events) - $1
      AND type = 'JobSucceeded'
    ORDER BY position DESC LIMIT $2
), timed AS (
    SELECT intended.model, queued.seconds, (made.recorded_at_us - accepted.recorded_at_us) / 1e6 AS took_s,
           row_number() OVER (PARTITION BY intended.model, queued.seconds ORDER BY made.position DESC) AS nth
    FROM made
    CROSS JOIN LATERAL (
        SELECT recorded_at_us FROM events
        WHERE stream = made.stream AND type = 'SubmissionAccepted' AND (data ->> 'submission')::int = made.submission
        LIMIT 1) accepted
    CROSS JOIN LATERAL (
        SELECT data ->> 'model' AS model FROM events
        WHERE stream = made.stream AND type = 'SubmissionIntended' AND (data ->> 'submission')::int = made.submission
        LIMIT 1) intended
    CROSS JOIN LATERAL (
        SELECT coalesce((data ->> 'seconds')::int, 0) AS seconds FROM events
        WHERE stream = made.stream AND version = 1) queued
)
SELECT model, seconds, count(*) AS videos,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s) AS usual_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY took_s) AS p95_s,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s) FILTER (WHERE nth <= $3) AS lately_s
FROM timed
GROUP BY GROUPING SETS ((model), (model, seconds))

-- name: waiting
-- Per seller with unfinished jobs: how many were not submitted yet, how many there are in all, and how old the oldest
-- is that nobody has started, in seconds (0: none). From the log itself: no projection has to be alive
SELECT o.account,
       count(*) FILTER (WHERE NOT EXISTS (
           SELECT FROM events e WHERE e.stream = 'job-' || o.job AND e.type = 'SubmissionIntended')) AS waiting,
       count(*) AS open,
       coalesce(max(extract(epoch FROM clock_timestamp()) - queued.recorded_at_us / 1e6) FILTER (WHERE NOT EXISTS (
           SELECT FROM events e WHERE e.stream = 'job-' || o.job AND e.type = 'JobStarted')), 0)::float8 AS unstarted_s
FROM open_jobs o
JOIN events queued ON queued.position = o.position
GROUP BY o.account
