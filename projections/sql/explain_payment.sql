-- What a payment is and caused: its own stream, and the grants and revocations that name it. It is known by its id, by
-- the provider's, or by what a grant names it with (`yookassa:<id>`). $1 any of these
WITH named AS (
    SELECT 'payment-' || $1::text AS stream
    UNION
    SELECT 'payment-' || payment FROM payments WHERE provider_payment = $1
    UNION
    SELECT stream FROM events
    WHERE type = 'PaymentSucceeded'
      AND (data ->> 'provider_payment' = $1
           OR (data ->> 'provider_payment' = substr($1, strpos($1, ':') + 1)
               AND data ->> 'provider' = substr($1, 1, greatest(strpos($1, ':') - 1, 0))))
), own AS MATERIALIZED (
    SELECT e.* FROM events e JOIN named USING (stream)
), called (reference) AS (
    SELECT $1
    UNION
    SELECT (data ->> 'provider') || ':' || (data ->> 'provider_payment') FROM own WHERE type = 'PaymentSucceeded'
    UNION
    SELECT data ->> 'refund' FROM own WHERE type = 'RefundIntended'
)
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM own
UNION ALL
SELECT position, stream, version, type, data::text, key, body_hash, command_events, recorded_at_us, hash
FROM events
WHERE type IN ('CreditsGranted', 'CreditsRevoked', 'CreditsRestored') AND data ->> 'reference' IN (SELECT reference FROM called)
