-- Remove jobs that the log does not say are unfinished.
DELETE FROM open_jobs o
WHERE NOT EXISTS (SELECT FROM events q WHERE q.stream = 'job-' || o.job AND q.type = 'JobQueued')
   OR EXISTS (SELECT FROM events e WHERE e.stream = 'job-' || o.job AND e.type IN ('JobSucceeded', 'JobFailed'))
