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
