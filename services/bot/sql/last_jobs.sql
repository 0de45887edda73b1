-- The last jobs charged to stream $1, newest first, at most $2.
SELECT data ->> 'job' AS job, recorded_at_us FROM events
WHERE stream = $1 AND type = 'CreditsCharged'
ORDER BY version DESC LIMIT $2
