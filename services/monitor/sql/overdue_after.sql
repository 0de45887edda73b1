-- Unfinished jobs whose deadline has passed by the database's clock, page by page, so that one that cannot be
-- ended never hides the next. $1, $2 deadline and job of the last one seen; $3 at most so many
SELECT job, account, deadline_at_us FROM open_jobs
WHERE deadline_at_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
  AND (deadline_at_us, job) > ($1, $2)
ORDER BY deadline_at_us, job LIMIT $3
