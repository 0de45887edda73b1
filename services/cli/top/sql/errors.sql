-- Classes of errors by model that came within the last $1 seconds, with the counts of the hours that this touches and
-- the newest sentence; the worst first, at most $2
SELECT error_class, model, sum(jobs_failed)::bigint AS jobs, sum(submissions_failed)::bigint AS submissions,
       greatest(extract(epoch FROM clock_timestamp()) - max(last_at_us) / 1e6, 0)::float8 AS ago_s,
       (array_agg(concat_ws(' ', nullif(code, ''), nullif(message, '')) ORDER BY last_at_us DESC))[1] AS sentence
FROM error_stats
WHERE hour_at_us > (extract(epoch FROM clock_timestamp()) - 3600 - $1) * 1000000
GROUP BY error_class, model
HAVING max(last_at_us) > (extract(epoch FROM clock_timestamp()) - $1) * 1000000
ORDER BY jobs DESC, submissions DESC, error_class, model LIMIT $2
