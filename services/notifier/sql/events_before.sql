-- What happened on streams before a version of each, in order. $1 streams, $2 their versions
SELECT e.stream, e.version, e.type, e.recorded_at_us
FROM unnest($1::text[], $2::bigint[]) AS wanted (stream, version)
JOIN events e ON e.stream = wanted.stream AND e.version < wanted.version
ORDER BY e.stream, e.version
