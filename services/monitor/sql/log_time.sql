-- The newest event's time and the database's, both epoch seconds; no row: the log is empty
SELECT (recorded_at_us / 1e6)::float8 AS log_s, extract(epoch FROM clock_timestamp())::float8 AS database_s
FROM events ORDER BY position DESC LIMIT 1
