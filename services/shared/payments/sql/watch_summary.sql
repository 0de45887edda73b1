-- What is not final: how many payments, how many refunds, and when the oldest refund was begun, epoch seconds
SELECT count(*) FILTER (WHERE refund = '') AS payments,
       count(*) FILTER (WHERE refund <> '') AS refunds,
       coalesce(extract(epoch FROM min(opened_at) FILTER (WHERE refund <> '')), 0)::float8 AS oldest_refund_at_s
FROM payment_watch
