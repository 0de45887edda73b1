-- Cached states of accounts that the appender would use, and whether the log holds the event each names.
-- $1 the format it reads
SELECT s.stream, s.version, s.position, s.state::text AS state,
       coalesce(e.stream = s.stream AND e.version = s.version AND e.hash = s.hash, false) AS held
FROM snapshots s LEFT JOIN events e USING (position)
WHERE s.format = $1
