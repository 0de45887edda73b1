-- Money that the ledger says has gone back since a time. $1 provider, $2 since
SELECT substr(r.stream, length('payment-') + 1) AS payment, r.data ->> 'provider_payment' AS provider_payment,
       r.data ->> 'provider_refund' AS provider_refund, (r.data ->> 'amount_minor')::bigint AS amount_minor
FROM events r
JOIN events o ON o.stream = r.stream AND o.type = 'PaymentOrdered'
WHERE r.type = 'PaymentRefunded' AND o.data ->> 'provider' = $1
  AND r.recorded_at_us >= (extract(epoch FROM $2::timestamptz) * 1000000)::bigint
