-- What a payment caused: its own stream, grants and revocations that name it. $1 payment
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE stream = 'payment-' || $1
UNION ALL
SELECT position, stream, version, type, data::text, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE type IN ('CreditsGranted', 'CreditsRevoked') AND data ->> 'reference' = $1
