-- A comparison, unless one of this provider's was made within $3 seconds, or has been going on for less than ten
-- minutes and those. $1 provider, $2 days back
INSERT INTO payment_comparisons (provider, since)
SELECT $1, clock_timestamp() - make_interval(days => $2)
WHERE NOT EXISTS (
    SELECT FROM payment_comparisons
    WHERE provider = $1 AND began_at > clock_timestamp() - make_interval(
        secs => CASE WHEN ended_at IS NULL THEN least($3, 600) ELSE $3 END
    )
)
RETURNING comparison, since
