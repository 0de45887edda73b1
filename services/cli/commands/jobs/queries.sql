-- name: dead_letter_groups
-- Dead letters by class and code, the most first, with the reference of the newest's words. $1 classes; $2 model and
-- $3 ended at or after, µs, may be null
SELECT left(encode(sha256(convert_to(failure_class || ' ' || failure_code, 'UTF8')), 'hex'), 8) AS "group",
       failure_class, failure_code, count(*) AS jobs, count(DISTINCT account) AS sellers,
       min(ended_at_us) AS first_at_us, max(ended_at_us) AS last_at_us,
       string_agg(DISTINCT model, ', ' ORDER BY model) AS models,
       (array_agg(failure_ref ORDER BY ended_at_us DESC))[1] AS failure_ref
FROM job_status
WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND NOT gifted
  AND failure_class = ANY ($1::text[])
  AND ($2::text IS NULL OR model = $2)
  AND ($3::bigint IS NULL OR ended_at_us >= $3)
GROUP BY failure_class, failure_code
ORDER BY jobs DESC, last_at_us DESC, 1

-- name: find_dead_letters
-- Failed jobs that an operator has neither made again nor dropped, the newest first. $1 classes of their failure;
-- $2 model, $3 ended at or after, µs, and $4 their group, may be null; $5 at most so many
SELECT * FROM job_status
WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND NOT gifted
  AND failure_class = ANY ($1::text[])
  AND ($2::text IS NULL OR model = $2)
  AND ($3::bigint IS NULL OR ended_at_us >= $3)
  AND ($4::text IS NULL OR $4 = left(encode(sha256(convert_to(failure_class || ' ' || failure_code, 'UTF8')), 'hex'), 8))
ORDER BY ended_at_us DESC, job LIMIT $5

-- name: find_jobs
-- Jobs, the newest first. $1 state, or `open` for all that have not ended; $2 account; $3 class of the last failure;
-- $4 queued at or after, µs; each may be null. $5 at most so many
SELECT * FROM job_status
WHERE ($1::text IS NULL OR state = $1 OR ($1 = 'open' AND state NOT IN ('succeeded', 'failed')))
  AND ($2::text IS NULL OR account = $2)
  AND ($3::text IS NULL OR failure_class = $3)
  AND ($4::bigint IS NULL OR queued_at_us >= $4)
ORDER BY queued_at_us DESC, job LIMIT $5

-- name: jobs_named
-- These jobs, as the read model has them. $1 jobs
SELECT * FROM job_status WHERE job = ANY ($1::text[])
