-- Failures by model and class, or ($3) by hour too, the most jobs first. $1 from and $2 before, µs, whole hours
SELECT CASE WHEN $3 THEN hour_at_us END AS hour_at_us, error_class, model,
       sum(submissions_failed)::bigint AS submissions_failed, sum(jobs_failed)::bigint AS jobs_failed,
       max(last_at_us) AS last_at_us,
       (array_agg(code ORDER BY last_at_us DESC))[1] AS code,
       (array_agg(message ORDER BY last_at_us DESC))[1] AS message
FROM error_stats
WHERE hour_at_us >= $1 AND hour_at_us < $2
GROUP BY 1, 2, 3
ORDER BY 1 DESC, jobs_failed DESC, submissions_failed DESC, 2, 3
