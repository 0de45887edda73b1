-- Unfinished jobs whose deadline has passed by the database's clock, the longest overdue first. $1 at most so many
SELECT job, account, position, deadline_at_us FROM open_jobs
WHERE deadline_at_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
ORDER BY deadline_at_us LIMIT $1
