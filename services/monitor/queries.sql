-- name: ended_lots
-- Accounts with a lot whose life is over, page by page. $1, $2 end and account of the last one seen; $3 at most so many;
-- $4 now
SELECT account, next_expiry_at_us, position FROM balances
WHERE next_expiry_at_us <= $4
  AND (next_expiry_at_us, account) > ($1, $2)
ORDER BY next_expiry_at_us, account LIMIT $3

-- name: far_deadlines
-- How many unfinished jobs have a deadline later than that. $1 epoch microseconds
SELECT count(*) FROM open_jobs WHERE deadline_at_us > $1

-- name: free_append_lock
-- End who holds the append lock; whether that was done. $1 process id, $2 begin of its transaction
SELECT ledger.free_append_lock($1, $2)

-- name: hindrances
-- What stands in the way of appending, or will.
SELECT what, pid, login, since, waits_for, share FROM ledger.hindrances()

-- name: overdue_after
-- Unfinished jobs whose deadline has passed, page by page, so that one that cannot be ended never hides the next.
-- $1, $2 deadline and job of the last one seen; $3 at most so many; $4 now
SELECT job, account, deadline_at_us FROM open_jobs
WHERE deadline_at_us <= $4
  AND (deadline_at_us, job) > ($1, $2)
ORDER BY deadline_at_us, job LIMIT $3
