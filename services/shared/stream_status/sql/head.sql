-- The log's end, the database's time, how many jobs are unfinished and the position of the oldest of them.
SELECT coalesce(h.position, 0) AS position, coalesce(h.hash, decode(repeat('00', 32), 'hex')) AS hash,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us,
       (SELECT count(*) FROM open_jobs) AS open_jobs, (SELECT min(o.position) FROM open_jobs o) AS oldest
FROM (SELECT) AS one LEFT JOIN (SELECT e.position, e.hash FROM events e ORDER BY e.position DESC LIMIT 1) h ON true
