-- Events of several streams, each after its own version. $1 streams, $2 versions, each joined by the unit separator
SELECT e.stream, e.version, e.type, e.data::text AS data
FROM unnest(string_to_array($1, U&'\001F'), string_to_array($2, U&'\001F')::bigint[]) AS wanted (stream, version)
JOIN events e ON e.stream = wanted.stream AND e.version > wanted.version
ORDER BY e.stream, e.version
