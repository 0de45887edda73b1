-- Failed jobs that an operator has neither made again nor dropped, by class. $1 the classes that park a job
SELECT failure_class, count(*) AS jobs FROM job_status
WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND NOT gifted AND failure_class = ANY ($1::text[])
GROUP BY 1
