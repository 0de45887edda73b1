-- Unfinished jobs in the order they were queued. $1 after this position, $2 up to this one, $3 at most so many
SELECT job, account, position, deadline_at_us FROM open_jobs
WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3
