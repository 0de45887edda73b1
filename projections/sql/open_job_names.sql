-- The unfinished jobs as the table has them.
SELECT job FROM open_jobs
