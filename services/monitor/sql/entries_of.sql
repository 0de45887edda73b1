-- Where the stream entries of unfinished jobs stand, in order, for those jobs to which nothing has happened for a
-- while: one entry from JobQueued, one from every JobReissued. $1 jobs, $2 seconds
SELECT o.job, o.account, array_agg(e.position ORDER BY e.position) FILTER (WHERE e.type IN ('JobQueued', 'JobReissued'))
           AS positions
FROM open_jobs o JOIN events e ON e.stream = 'job-' || o.job
WHERE o.job = ANY ($1::text[])
GROUP BY o.job, o.account
HAVING max(e.recorded_at_us)
       <= (extract(epoch FROM clock_timestamp() - make_interval(secs => $2)) * 1000000)::bigint
