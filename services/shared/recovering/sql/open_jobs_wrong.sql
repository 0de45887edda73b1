-- Jobs that the log says are unfinished and open_jobs lacks, and the other way round.
WITH unfinished AS (
    SELECT substr(q.stream, 5) AS job FROM events q
    WHERE q.type = 'JobQueued'
      AND NOT EXISTS (SELECT FROM events e WHERE e.stream = q.stream AND e.type IN ('JobSucceeded', 'JobFailed'))
)
SELECT (SELECT count(*) FROM unfinished WHERE job NOT IN (SELECT job FROM open_jobs)) AS missing,
       (SELECT count(*) FROM open_jobs WHERE job NOT IN (SELECT job FROM unfinished)) AS extra
