-- What is not final, by kind: how many, and the age of the oldest in seconds
SELECT count(*) FILTER (WHERE refund = '') AS payments,
       count(*) FILTER (WHERE refund <> '') AS refunds,
       coalesce(extract(epoch FROM clock_timestamp() - min(opened_at) FILTER (WHERE refund <> '')), 0)::float8
           AS oldest_refund_s
FROM payment_watch
