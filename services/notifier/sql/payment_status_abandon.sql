-- The message cannot be edited any more. $1 payment, $2 claim, $3 why
UPDATE payment_statuses SET abandoned = true, last_error = $3 WHERE payment = $1 AND claims = $2
