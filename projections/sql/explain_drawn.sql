-- What was drawn from a lot: charges, revocations, expiries. $1 stream, $2 after this version, $3 lot, $4 at most so many
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events
WHERE stream = $1 AND version > $2
  AND CASE type WHEN 'CreditsExpired' THEN (data ->> 'lot')::bigint = $3
                WHEN 'CreditsCharged' THEN EXISTS (SELECT FROM json_array_elements(data -> 'parts') AS part
                                                   WHERE (part ->> 'lot')::bigint = $3)
                WHEN 'CreditsRevoked' THEN EXISTS (SELECT FROM json_array_elements(data -> 'parts') AS part
                                                   WHERE (part ->> 'lot')::bigint = $3)
                ELSE false END
ORDER BY version LIMIT $4
