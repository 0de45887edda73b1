-- Several streams from their starts. $1 streams
SELECT w.stream, e.type, e.data::text AS data
FROM unnest($1::text[]) AS w (stream)
CROSS JOIN LATERAL (
    -- OFFSET keeps this apart, so that each stream is read by its index whatever the planner thinks of the table.
    SELECT e.version, e.type, e.data FROM events e WHERE e.stream = w.stream ORDER BY e.version OFFSET 0
) AS e
ORDER BY w.stream, e.version
