-- Earlier events of several streams, each before a version of its own, of some types. $1 streams, $2 versions, $3 types
SELECT w.stream, e.type, e.data, e.position
FROM unnest($1::text[], $2::bigint[]) AS w (stream, version)
CROSS JOIN LATERAL (
    -- OFFSET keeps this apart, so that each stream is read by its index whatever the planner thinks of the table.
    SELECT e.version, e.type, e.data::text AS data, e.position FROM events e
    WHERE e.stream = w.stream AND e.version < w.version ORDER BY e.version OFFSET 0
) AS e
WHERE e.type = ANY ($3::text[])
ORDER BY w.stream, e.version
