-- The database's time, in epoch microseconds.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
