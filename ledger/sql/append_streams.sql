-- Events of several streams, each after its own version, a page of each.
-- $1 streams, $2 versions, each joined by the unit separator, $3 at most so many of each
SELECT e.stream, e.version, e.type, e.data
FROM unnest(string_to_array($1, U&'\001F'), string_to_array($2, U&'\001F')::bigint[]) AS w (stream, version)
CROSS JOIN LATERAL (
    SELECT e.stream, e.version, e.type, e.data::text AS data
    FROM events e WHERE e.stream = w.stream AND e.version > w.version
    ORDER BY e.version LIMIT $3::bigint
) AS e
ORDER BY stream, version
