-- Our payment that money came for. $1 the provider's id of it, $2 provider
SELECT substr(stream, length('payment-') + 1) FROM events
WHERE type = 'PaymentSucceeded' AND data ->> 'provider_payment' = $1 AND data ->> 'provider' = $2
