-- How many jobs are unfinished and how many of them overdue; when the oldest was queued, when the oldest was queued
-- that nobody has started, and the earliest deadline (epoch seconds, NULL: none). From the log itself, no read model
SELECT count(*) AS open_jobs,
       count(*) FILTER (WHERE o.deadline_at_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
           AS overdue_jobs,
       (SELECT e.recorded_at_us / 1e6 FROM events e WHERE e.position = min(o.position))::float8 AS oldest_at_s,
       (SELECT e.recorded_at_us / 1e6 FROM events e WHERE e.position = min(o.position) FILTER (WHERE NOT EXISTS (
           SELECT FROM events s WHERE s.stream = 'job-' || o.job AND s.type = 'JobStarted')))::float8 AS unstarted_at_s,
       (min(o.deadline_at_us) / 1e6)::float8 AS deadline_at_s,
       extract(epoch FROM clock_timestamp())::float8 AS now_s
FROM open_jobs o
