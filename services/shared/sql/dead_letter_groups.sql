-- Dead letters by class and first line of the cause, the most first. $1 classes; $2 model and $3 ended at or after, µs,
-- may be null
SELECT left(encode(sha256(convert_to(failure_class || E'\n' || cause, 'UTF8')), 'hex'), 8) AS "group",
       failure_class, cause, count(*) AS jobs, count(DISTINCT account) AS sellers,
       min(ended_at_us) AS first_at_us, max(ended_at_us) AS last_at_us,
       string_agg(DISTINCT model, ', ' ORDER BY model) AS models
FROM (SELECT *, {cause} AS cause FROM job_status
      WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND NOT gifted
        AND failure_class = ANY ($1::text[])
        AND ($2::text IS NULL OR model = $2)
        AND ($3::bigint IS NULL OR ended_at_us >= $3)) AS letters
GROUP BY failure_class, cause
ORDER BY jobs DESC, last_at_us DESC, 1
