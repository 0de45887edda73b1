-- Add jobs that the log says are unfinished.
INSERT INTO open_jobs (job, account, position, deadline_at_us)
SELECT substr(q.stream, 5), q.data ->> 'account', q.position, (q.data ->> 'deadline_at_us')::bigint FROM events q
WHERE q.type = 'JobQueued'
  AND NOT EXISTS (SELECT FROM events e WHERE e.stream = q.stream AND e.type IN ('JobSucceeded', 'JobFailed'))
ON CONFLICT (job) DO NOTHING
