-- Our id of a payment, from ours or the provider's. $1 either
SELECT substr(stream, length('payment-') + 1) FROM events WHERE stream = 'payment-' || $1 AND version = 1
UNION ALL
SELECT substr(stream, length('payment-') + 1) FROM events
WHERE type = 'PaymentSucceeded' AND data ->> 'provider_payment' = $1
LIMIT 1
