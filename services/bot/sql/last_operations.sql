-- The last events of stream $1 that moved credits, newest first, at most $2.
SELECT position, type, data::text, recorded_at_us FROM events
WHERE stream = $1
  AND type IN ('CreditsGranted', 'CreditsCharged', 'CreditsRefunded', 'CreditsRevoked', 'CreditsRestored',
               'CreditsExpired')
ORDER BY version DESC LIMIT $2
