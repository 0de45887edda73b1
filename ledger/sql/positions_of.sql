-- The positions of these streams, of these jobs' charges and refunds, and of what names a payment; each by an
-- index. $1 streams, $2 jobs, $3 the payment, $4 at most so many
SELECT position FROM events WHERE stream = ANY ($1::text[])
UNION
SELECT position FROM events WHERE type = 'CreditsCharged' AND data ->> 'job' = ANY ($2::text[])
UNION
SELECT position FROM events WHERE type = 'CreditsRefunded' AND data ->> 'job' = ANY ($2::text[])
UNION
SELECT position FROM events WHERE type IN ('CreditsGranted', 'CreditsRevoked', 'CreditsRestored') AND data ->> 'reference' = $3
ORDER BY position LIMIT $4
