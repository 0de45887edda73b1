-- A place in the log and the time at which lives are judged there; both NULL where the log has no such place.
-- $1 position or NULL, $2 epoch microseconds or NULL; neither: now
WITH head AS (
    SELECT position, recorded_at_us FROM events ORDER BY position DESC LIMIT 1
), clock AS (
    -- the log's time never runs behind its last event
    SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
                    (SELECT recorded_at_us FROM head)) AS now_us
)
SELECT CASE WHEN $1::bigint IS NOT NULL THEN least($1, coalesce((SELECT position FROM head), 0))
            WHEN $2::bigint IS NOT NULL THEN audit.position_at(audit.to_time(least($2, clock.now_us)))
            ELSE coalesce((SELECT position FROM head), 0) END AS position,
       CASE WHEN $1 IS NOT NULL THEN coalesce(audit.time_at($1), 0)
            ELSE least($2, clock.now_us) END AS time_us,
       coalesce((SELECT position FROM head), 0) AS head,
       clock.now_us
FROM clock
