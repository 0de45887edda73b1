-- The log's head, the position of every in-order consumer that applies events, and when the oldest event that it has
-- not applied was recorded (epoch seconds, NULL: there is none)
SELECT c.name, c.position, coalesce((SELECT max(e.position) FROM events e), 0) AS head,
       (SELECT e.recorded_at_us / 1e6 FROM events e WHERE e.position = c.position + 1)::float8 AS unapplied_at_s
FROM cursors c WHERE c.active
