-- Jobs, the newest first. $1 state, or `open` for all that have not ended; $2 account; $3 class of the last failure;
-- $4 queued at or after, µs; each may be null. $5 at most so many
SELECT * FROM job_status
WHERE ($1::text IS NULL OR state = $1 OR ($1 = 'open' AND state NOT IN ('succeeded', 'failed')))
  AND ($2::text IS NULL OR account = $2)
  AND ($3::text IS NULL OR failure_class = $3)
  AND ($4::bigint IS NULL OR queued_at_us >= $4)
ORDER BY queued_at_us DESC, job LIMIT $5
