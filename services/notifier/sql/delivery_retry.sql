-- Not this time. $1 job, $2 kind, $3 claim, $4 wait in seconds, $5 why, $6 whether it may have arrived, $7 as a link from now on
UPDATE deliveries
SET state = 'pending', due_at = clock_timestamp() + make_interval(secs => $4), last_error = $5,
    unknown_sends = unknown_sends + $6::boolean::int, as_link = as_link OR $7
WHERE job = $1 AND kind = $2 AND claims = $3 AND state IN ('pending', 'sending')
RETURNING job
