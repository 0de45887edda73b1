-- Refunds that were intended in the last $1 days and whose outcome is open, though nobody looks after them
INSERT INTO payment_watch (payment, refund, account, provider, opened_at, due_at)
SELECT substr(i.stream, length('payment-') + 1), i.data ->> 'refund', o.data ->> 'account', o.data ->> 'provider',
       to_timestamp(i.recorded_at_us / 1e6), clock_timestamp()
FROM events o
JOIN events i ON i.stream = o.stream AND i.type = 'RefundIntended'
WHERE o.type = 'PaymentOrdered'
  AND i.recorded_at_us > (extract(epoch FROM clock_timestamp() - make_interval(days => $1)) * 1000000)::bigint
  AND NOT EXISTS (
      SELECT FROM events e
      WHERE e.stream = i.stream AND e.type IN ('PaymentRefunded', 'RefundFailed')
        AND e.data ->> 'refund' = i.data ->> 'refund'
  )
ON CONFLICT DO NOTHING
