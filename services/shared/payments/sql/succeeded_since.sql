-- Money that the ledger says has come since a time. $1 provider, $2 since
SELECT substr(stream, length('payment-') + 1) AS payment, data ->> 'provider_payment' AS provider_payment,
       (data ->> 'amount_minor')::bigint AS amount_minor
FROM events
WHERE type = 'PaymentSucceeded' AND data ->> 'provider' = $1
  AND recorded_at_us >= (extract(epoch FROM $2::timestamptz) * 1000000)::bigint
