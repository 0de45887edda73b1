-- These jobs, as the read model has them. $1 jobs
SELECT * FROM job_status WHERE job = ANY ($1::text[])
