-- How many events a projection has not applied yet, and the age of the oldest of them in seconds. $1 name
SELECT (SELECT coalesce(max(position), 0) FROM events) - c.position AS events,
       extract(epoch FROM clock_timestamp()) - e.recorded_at_us / 1e6 AS age_s
FROM cursors c JOIN events e ON e.position = c.position + 1
WHERE c.name = $1 AND c.active
