-- Photos that nobody has used for $1 seconds and no draft needs are nobody's from here on, at most $2.
WITH old AS MATERIALIZED (
    SELECT blob, account FROM blobs
    WHERE account IS NOT NULL AND used_at < clock_timestamp() - make_interval(secs => $1) AND used_at < 'infinity'
      AND NOT EXISTS (SELECT FROM drafts WHERE photo = blob)
    ORDER BY used_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    UPDATE blobs SET account = NULL, used_at = clock_timestamp() WHERE blob IN (SELECT blob FROM old)
    RETURNING blob
), unjudged AS (
    DELETE FROM verdicts v USING old WHERE v.account = old.account AND v.content = old.blob
)
SELECT count(*) FROM gone
