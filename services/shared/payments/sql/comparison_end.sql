-- $1 comparison, $2 payments and $3 refunds compared
UPDATE payment_comparisons SET ended_at = clock_timestamp(), payments = $2, refunds = $3 WHERE comparison = $1
