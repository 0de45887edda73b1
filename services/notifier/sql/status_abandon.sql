-- The message cannot be edited any more. $1 order, $2 claim, $3 why
UPDATE order_statuses SET abandoned = true, last_error = $3 WHERE order_id = $1 AND claims = $2
