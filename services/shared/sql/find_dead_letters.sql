-- Failed jobs that an operator has neither made again nor dropped, the newest first. $1 classes of their failure;
-- $2 model, $3 ended at or after, µs, and $4 their group, may be null; $5 at most so many
SELECT * FROM job_status
WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND NOT gifted
  AND failure_class = ANY ($1::text[])
  AND ($2::text IS NULL OR model = $2)
  AND ($3::bigint IS NULL OR ended_at_us >= $3)
  AND ($4::text IS NULL OR $4 = left(encode(sha256(convert_to(failure_class || E'\n' || {cause}, 'UTF8')), 'hex'), 8))
ORDER BY ended_at_us DESC, job LIMIT $5
