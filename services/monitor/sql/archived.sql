-- When a WAL file was archived last, and when that failed last; NULL: never.
SELECT extract(epoch FROM last_archived_time)::float8 AS archived_at_s,
       extract(epoch FROM last_failed_time)::float8 AS failed_at_s
FROM pg_stat_archiver
