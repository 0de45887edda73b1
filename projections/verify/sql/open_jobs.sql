-- The unfinished jobs as the table has them, of those queued after a position. $1 after this position
SELECT job, account, position, deadline_at_us FROM open_jobs WHERE position > $1
