-- Drafts that nobody has touched for $1 seconds, with their words, at most $2; not those that are orders in the log.
WITH old AS MATERIALIZED (
    SELECT brief FROM drafts
    WHERE NOT ordered AND used_at < clock_timestamp() - make_interval(secs => $1)
      AND NOT EXISTS (SELECT FROM events WHERE key = 'order:' || draft)
    ORDER BY used_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM texts WHERE ref IN (SELECT brief FROM old) RETURNING 1
)
SELECT count(*) FROM gone
