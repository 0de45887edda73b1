-- An edit went through. If someone else took the row meanwhile, a newer edit may lie under ours: edit once more.
-- $1 payment, $2 claim, $3 version shown, $4 seconds until the next edit
UPDATE payment_statuses
SET shown = CASE WHEN claims = $2 THEN $3 ELSE 0 END, attempts = 0, last_error = NULL,
    due_at = clock_timestamp() + make_interval(secs => $4)
WHERE payment = $1
