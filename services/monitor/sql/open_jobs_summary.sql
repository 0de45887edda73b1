-- How many jobs are unfinished, how many of them are overdue, and when the oldest was queued (epoch seconds)
SELECT count(*) AS open_jobs,
       count(*) FILTER (WHERE o.deadline_at_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
           AS overdue_jobs,
       (SELECT e.recorded_at_us / 1e6 FROM events e WHERE e.position = min(o.position))::float8 AS oldest_at_s,
       extract(epoch FROM clock_timestamp())::float8 AS now_s
FROM open_jobs o
