-- The events of an account, of its jobs and of its payments. $1..$4 as in journal, $5 stream
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events
WHERE stream IN (SELECT $5::text UNION ALL
                 SELECT 'job-' || (data ->> 'job') FROM events WHERE stream = $5 AND type = 'CreditsCharged' UNION ALL
                 SELECT 'payment-' || payment FROM payments WHERE account = substr($5, length('account-') + 1))
  AND position BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR type = ANY ($3))
ORDER BY position {order} LIMIT $4
