-- All events of some jobs: their own streams, their charges and refunds. $1 jobs
SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE stream = ANY (SELECT 'job-' || job FROM unnest($1::text[]) AS job)
UNION ALL
SELECT position, stream, version, type, data::text, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE type = 'CreditsCharged' AND data ->> 'job' = ANY ($1)
UNION ALL
SELECT position, stream, version, type, data::text, key, body_hash, command_events, recorded_at_us, hash
FROM events WHERE type = 'CreditsRefunded' AND data ->> 'job' = ANY ($1)
