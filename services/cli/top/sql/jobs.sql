-- Unfinished jobs by state and by the process that makes them, as the read model has them; one that it does not know
-- yet is queued
SELECT coalesce(s.state, 'queued') AS state, coalesce(s.worker, '') AS worker, count(*) AS jobs
FROM open_jobs o LEFT JOIN job_status s ON s.job = o.job GROUP BY 1, 2
