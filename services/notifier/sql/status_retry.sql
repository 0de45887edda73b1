-- Not this time. $1 order, $2 claim, $3 wait in seconds, $4 why, $5 whether it counts as a failed attempt
UPDATE order_statuses
SET due_at = clock_timestamp() + make_interval(secs => $3), last_error = $4, attempts = attempts + $5::boolean::int
WHERE order_id = $1 AND claims = $2 AND NOT abandoned
