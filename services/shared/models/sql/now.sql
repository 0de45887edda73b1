-- The clock that all times here are of
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
