-- What the rules need of some streams up to a position, and the charges and refunds of some jobs.
-- $1 streams, $2 jobs, $3 up to this position
SELECT position, stream, version, type, command_events, recorded_at_us, data::text AS data
FROM events WHERE stream = ANY ($1::text[]) AND position <= $3
UNION ALL
SELECT position, stream, version, type, command_events, recorded_at_us, data::text
FROM events WHERE type = 'CreditsCharged' AND data ->> 'job' = ANY ($2::text[]) AND position <= $3
UNION ALL
SELECT position, stream, version, type, command_events, recorded_at_us, data::text
FROM events WHERE type = 'CreditsRefunded' AND data ->> 'job' = ANY ($2::text[]) AND position <= $3
ORDER BY position
