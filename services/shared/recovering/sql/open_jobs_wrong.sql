-- Jobs that the log says are unfinished and open_jobs lacks, and the other way round.
WITH unfinished AS MATERIALIZED (
    SELECT substr(q.stream, 5) AS job FROM events q
    WHERE q.type = 'JobQueued'
      AND NOT EXISTS (SELECT FROM events e WHERE e.stream = q.stream AND e.type IN ('JobSucceeded', 'JobFailed'))
)
SELECT (SELECT count(*) FROM unfinished u WHERE NOT EXISTS (SELECT FROM open_jobs o WHERE o.job = u.job)) AS missing,
       (SELECT count(*) FROM open_jobs o WHERE NOT EXISTS (SELECT FROM unfinished u WHERE u.job = o.job)) AS extra
