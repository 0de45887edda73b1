-- We were told that a payment was paid and could not look: since when, and that the monitor looks at once.
-- $1 the provider's id of it
UPDATE payment_watch w SET told_at = coalesce(w.told_at, clock_timestamp()), due_at = clock_timestamp()
WHERE w.refund = '' AND EXISTS (
    SELECT FROM events e
    WHERE e.stream = 'payment-' || w.payment AND e.type = 'PaymentCreated' AND e.data ->> 'provider_payment' = $1)
