-- name: find_payments
-- Payments, the newest first. $1 state, or `open` for those that wait for money; $2 account; $3 provider; $4 ordered at
-- or after, µs; each may be null. $5 at most so many
SELECT payment, account, provider, package, credits, amount_minor, currency, test, state, provider_payment,
       paid_minor, refunded_minor, revoked_credits, successes, flag, ordered_at_us, settled_at_us
FROM payments
WHERE ($1::text IS NULL OR state = $1 OR ($1 = 'open' AND state IN ('ordered', 'pending')))
  AND ($2::text IS NULL OR account = $2)
  AND ($3::text IS NULL OR provider = $3)
  AND ($4::bigint IS NULL OR ordered_at_us >= $4)
ORDER BY ordered_at_us DESC, payment LIMIT $5

-- name: payment_named
-- Our id of a payment, from ours or the provider's. $1 either
SELECT substr(stream, length('payment-') + 1) FROM events WHERE stream = 'payment-' || $1 AND version = 1
UNION ALL
SELECT substr(stream, length('payment-') + 1) FROM events
WHERE type = 'PaymentSucceeded' AND data ->> 'provider_payment' = $1
LIMIT 1
