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
