-- Forget what the status messages show of jobs that the log does not have, or has not ended: the latter are
-- written again from the log.
DELETE FROM order_jobs l
WHERE NOT EXISTS (SELECT FROM events q WHERE q.stream = 'job-' || l.job AND q.type = 'JobQueued')
   OR NOT EXISTS (SELECT FROM events e WHERE e.stream = 'job-' || l.job AND e.type IN ('JobSucceeded', 'JobFailed'))
