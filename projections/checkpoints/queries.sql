-- name: signing_head
-- The log's head and the database's time, which is never before the last event's.
SELECT coalesce(e.position, 0) AS position, coalesce(e.hash, decode(repeat('00', 32), 'hex')) AS hash,
       greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, coalesce(e.recorded_at_us, 0)) AS now_us
FROM (SELECT) AS always LEFT JOIN (SELECT * FROM events ORDER BY position DESC LIMIT 1) AS e ON true
