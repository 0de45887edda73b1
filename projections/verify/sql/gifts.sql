-- Everything about promo codes and invitations, by indexes, each row with the position its command begins at.
WITH found AS (
    SELECT position FROM events WHERE stream IN (SELECT stream FROM events WHERE type = 'PromoCreated')
    UNION
    SELECT position FROM events WHERE type = 'PromoRedeemed'
    UNION
    SELECT position FROM events WHERE type = 'InvitationRewarded'
    UNION
    SELECT position FROM events WHERE type = 'AccountOpened' AND (data ->> 'invited_by') <> ''
    UNION
    SELECT position FROM events
    WHERE type = 'CreditsGranted' AND (data ->> 'kind') IN ('promo', 'referral') AND data ->> 'reference' IS NOT NULL
)
SELECT e.position, c.position AS command, e.stream, e.type, e.data::text AS data, e.recorded_at_us
FROM found
JOIN events e USING (position)
CROSS JOIN LATERAL (
    SELECT position FROM events
    WHERE position <= e.position AND command_events IS NOT NULL ORDER BY position DESC LIMIT 1
) AS c
ORDER BY e.position
