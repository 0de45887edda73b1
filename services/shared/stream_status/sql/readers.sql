-- Every in-order consumer: its place, whether the log holds it, when it moved last, and when what follows was
-- recorded.
SELECT c.name, c.position, (c.position = 0 OR e.hash IS NOT DISTINCT FROM c.hash) AS held,
       (extract(epoch FROM c.updated_at) * 1000000)::bigint AS moved_at_us, n.recorded_at_us AS next_at_us
FROM cursors c
LEFT JOIN events e ON e.position = c.position
LEFT JOIN events n ON n.position = c.position + 1
WHERE c.active ORDER BY c.name
