-- Events of several streams, each after its own version. $1 streams, $2 versions
SELECT e.stream, e.version, e.type, e.data::text AS data
FROM unnest($1::text[], $2::bigint[]) AS wanted (stream, version)
JOIN events e ON e.stream = wanted.stream AND e.version > wanted.version
ORDER BY e.stream, e.version
