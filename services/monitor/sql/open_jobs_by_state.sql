-- How many unfinished jobs are in which state; one that the read model does not know yet is queued
SELECT coalesce(s.state, 'queued') AS state, count(*) AS jobs
FROM open_jobs o LEFT JOIN job_status s ON s.job = o.job GROUP BY 1
