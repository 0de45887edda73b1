-- The oldest unfinished job: for how long, and how many seconds until its deadline
SELECT o.job, coalesce(s.state, 'queued') AS state, coalesce(s.model, '') AS model,
       (extract(epoch FROM clock_timestamp()) - e.recorded_at_us / 1e6)::float8 AS age_s,
       (o.deadline_at_us / 1e6 - extract(epoch FROM clock_timestamp()))::float8 AS left_s
FROM (SELECT job, position, deadline_at_us FROM open_jobs ORDER BY position LIMIT 1) o
JOIN events e ON e.position = o.position
LEFT JOIN job_status s ON s.job = o.job
