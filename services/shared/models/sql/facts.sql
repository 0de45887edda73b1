-- What a decision needs besides the circuit, read after its lock: now, and when a submission was announced (0 if never).
-- $1 stream of the job, $2 number of the submission
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us,
       coalesce((SELECT recorded_at_us FROM events
                 WHERE stream = $1 AND type = 'SubmissionIntended' AND (data ->> 'submission')::int = $2), 0)
           AS announced_us
