-- Every event, as much of it as the rules need; data of the types in projections/verify/shapes.py only.
-- $1 after this position
SELECT position, stream, version, type, command_events, recorded_at_us,
       CASE WHEN type IN ('CreditsGranted', 'CreditsCharged', 'CreditsRefunded', 'CreditsRevoked', 'CreditsExpired',
                          'CreditsRestored', 'JobQueued', 'JobRequeued',
                          'PaymentOrdered', 'PaymentSucceeded', 'PaymentFlagged', 'PaymentRefunded',
                          'RefundIntended', 'RefundFailed')
            THEN data::text END AS data
FROM events WHERE position > $1 ORDER BY position
