-- Jobs that failed within so many seconds, whose provider task is known and has brought nothing yet, page by page.
-- $1 seconds; $2, $3 end and job of the last one seen; $4 at most so many
SELECT job, account, ended_at_us,
       (extract(epoch FROM clock_timestamp()) - ended_at_us / 1000000.0)::float8 AS age_s
FROM job_status
WHERE state = 'failed' AND NOT gifted AND task <> ''
  AND ended_at_us > (extract(epoch FROM clock_timestamp() - make_interval(secs => $1)) * 1000000)::bigint
  AND (ended_at_us, job) > ($2, $3)
ORDER BY ended_at_us, job LIMIT $4
