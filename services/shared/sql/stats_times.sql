-- How long jobs that ended in a time spent in each state, by model and over all (model null): so many, and in
-- microseconds the percentiles 50, 95, 99 and 100. $1 from and $2 before, µs; $3 model, may be null
SELECT model, part, count(us) AS jobs,
       percentile_disc(ARRAY[0.5, 0.95, 0.99, 1]) WITHIN GROUP (ORDER BY us) AS percentiles
FROM job_times
CROSS JOIN LATERAL (VALUES (1, 'queued', queued_us), (2, 'writing', writing_us), (3, 'submitting', submitting_us),
                           (4, 'rendering', rendering_us), (5, 'retrying', nullif(retrying_us, 0)),
                           (6, 'in all', ended_at_us - queued_at_us), (7, 'one video', made_us)) AS p (number, part, us)
WHERE ended_at_us >= $1 AND ended_at_us < $2 AND us IS NOT NULL
  AND ($3::text IS NULL OR model = $3)
GROUP BY GROUPING SETS ((model, number, part), (number, part))
ORDER BY model NULLS FIRST, number
