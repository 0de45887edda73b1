-- Whether this refund of the provider's stands in the ledger. $1 the provider's id of it
SELECT EXISTS (SELECT FROM events WHERE type = 'PaymentRefunded' AND data ->> 'provider_refund' = $1)
