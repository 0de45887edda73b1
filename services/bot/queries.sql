-- name: last_jobs
-- The last jobs charged to stream $1, newest first, at most $2.
SELECT data ->> 'job' AS job, recorded_at_us FROM events
WHERE stream = $1 AND type = 'CreditsCharged'
ORDER BY version DESC LIMIT $2

-- name: last_operations
-- The last events of stream $1 that moved credits, newest first, at most $2.
SELECT position, type, data::text, recorded_at_us FROM events
WHERE stream = $1
  AND type IN ('CreditsGranted', 'CreditsCharged', 'CreditsRefunded', 'CreditsRevoked', 'CreditsRestored',
               'CreditsExpired')
ORDER BY version DESC LIMIT $2

-- name: verdict_keep
-- Remember a verdict; the first one stays. $1 account, $2 content, $3 kinds
INSERT INTO verdicts (account, content, kinds) VALUES ($1, $2, $3::text[]) ON CONFLICT DO NOTHING

-- name: verdicts
-- What is known of these contents. $1 account, $2 contents
SELECT content, kinds FROM verdicts WHERE account = $1 AND content = ANY ($2::text[])
