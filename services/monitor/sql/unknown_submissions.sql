-- Open jobs whose last submission was announced more than $1 seconds ago and has neither a task nor a failure:
-- job, account, submission, provider account, for how many seconds
SELECT o.job, o.account, i.submission, i.provider_account,
       (extract(epoch FROM clock_timestamp()) - i.recorded_at_us / 1000000.0)::float8 AS unknown_s
FROM open_jobs o
CROSS JOIN LATERAL (
    SELECT (e.data ->> 'submission')::bigint AS submission, e.data ->> 'provider_account' AS provider_account,
           e.recorded_at_us, e.stream, e.version
    FROM events e WHERE e.stream = 'job-' || o.job AND e.type = 'SubmissionIntended'
    ORDER BY e.version DESC LIMIT 1
) i
WHERE i.recorded_at_us <= (extract(epoch FROM clock_timestamp() - make_interval(secs => $1)) * 1000000)::bigint
  AND NOT EXISTS (
    SELECT FROM events f
    WHERE f.stream = i.stream AND f.version > i.version AND f.type IN ('SubmissionAccepted', 'SubmissionFailed')
      AND (f.data ->> 'submission')::bigint = i.submission
  )
ORDER BY i.recorded_at_us
