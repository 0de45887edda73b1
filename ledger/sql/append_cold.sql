-- Streams from their snapshots, or else from their start: the snapshot as a row of type 'snapshot', then a page of the
-- events after it. A snapshot counts only if the log still holds the very event it was made at.
-- $1 streams, joined by the unit separator, $2 format, $3 at most so many events of each
WITH wanted AS MATERIALIZED (
    SELECT w.stream, s.version, s.sealed
    FROM unnest(string_to_array($1, U&'\001F')) AS w (stream)
    LEFT JOIN LATERAL (
        SELECT s.version, encode(s.hash, 'hex') || s.state::text AS sealed
        FROM snapshots s
        JOIN events e ON e.position = s.position
        WHERE s.stream = w.stream AND s.format = $2::text
          AND e.stream = s.stream AND e.version = s.version AND e.hash = s.hash
    ) AS s ON true
)
SELECT stream, version, 'snapshot' AS type, sealed AS data FROM wanted WHERE version IS NOT NULL
UNION ALL
SELECT e.stream, e.version, e.type, e.data
FROM wanted w
CROSS JOIN LATERAL (
    SELECT e.stream, e.version, e.type, e.data::text AS data
    FROM events e WHERE e.stream = w.stream AND e.version > coalesce(w.version, 0)
    ORDER BY e.version LIMIT $3::bigint
) AS e
ORDER BY stream, version
