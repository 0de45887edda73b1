-- A comparison, if none of this provider's was begun within $3 seconds. $1 provider, $2 days back
INSERT INTO payment_comparisons (provider, since)
SELECT $1, clock_timestamp() - make_interval(days => $2)
WHERE NOT EXISTS (
    SELECT FROM payment_comparisons
    WHERE provider = $1 AND began_at > clock_timestamp() - make_interval(secs => $3)
)
RETURNING comparison, since
