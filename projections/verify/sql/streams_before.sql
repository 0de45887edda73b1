-- The same of some streams before a position, in order. $1 streams, $2 before this position
SELECT position, stream, version, type, data::text AS data, recorded_at_us
FROM events WHERE stream = ANY ($1::text[]) AND position < $2 ORDER BY position
