-- Orders of the last $1 days that nobody looks after although they are not final: look at them at once
INSERT INTO payment_watch (payment, account, provider, opened_at, due_at)
SELECT substr(o.stream, length('payment-') + 1), o.data ->> 'account', o.data ->> 'provider',
       to_timestamp(o.recorded_at_us / 1e6), clock_timestamp()
FROM events o
WHERE o.type = 'PaymentOrdered'
  AND o.recorded_at_us > (extract(epoch FROM clock_timestamp() - make_interval(days => $1)) * 1000000)::bigint
  AND NOT EXISTS (
      SELECT FROM events e
      WHERE e.stream = o.stream AND e.type IN ('PaymentSucceeded', 'PaymentCancelled', 'PaymentExpired')
  )
ON CONFLICT DO NOTHING
