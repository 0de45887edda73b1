-- The status messages of these payments have something new to show. $1 streams
INSERT INTO payment_statuses AS s (payment, account)
SELECT substr(stream, length('payment-') + 1), data ->> 'account' FROM events
WHERE stream = ANY ($1) AND type = 'PaymentOrdered'
ORDER BY stream
ON CONFLICT (payment) DO UPDATE SET wanted = s.wanted + 1
