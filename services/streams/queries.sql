-- name: events_at
-- The events at these positions: when each was recorded, its hash, stream and type. $1 positions
SELECT position, recorded_at_us, hash, stream, type FROM events WHERE position = ANY ($1::bigint[])

-- name: head
-- The log's end, the database's time, and of the unfinished jobs that are due first: how many, the oldest, and the newest up to
-- a position. $1 that position, $2 at most so many jobs or NULL: of all
SELECT coalesce(h.position, 0) AS position, coalesce(h.hash, decode(repeat('00', 32), 'hex')) AS hash,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us,
       j.open_jobs, j.oldest, coalesce(j.newest, 0) AS newest
FROM (SELECT count(*) AS open_jobs, min(position) AS oldest, max(position) FILTER (WHERE position <= $1) AS newest
      FROM (SELECT position FROM open_jobs ORDER BY deadline_at_us LIMIT $2) AS due) AS j
LEFT JOIN (SELECT e.position, e.hash FROM events e ORDER BY e.position DESC LIMIT 1) h ON true

-- name: readers
-- Every in-order consumer: its place, whether the log holds it, when it moved last, and when what follows was
-- recorded.
SELECT c.name, c.position, (c.position = 0 OR e.hash IS NOT DISTINCT FROM c.hash) AS held,
       (extract(epoch FROM c.updated_at) * 1000000)::bigint AS moved_at_us, n.recorded_at_us AS next_at_us
FROM cursors c
LEFT JOIN events e ON e.position = c.position
LEFT JOIN events n ON n.position = c.position + 1
WHERE c.active ORDER BY c.name
