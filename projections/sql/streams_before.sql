-- The events of some streams before a position, in order, as far as a fold looks at them. $1 streams, $2 position
SELECT position, stream, version, type, data::text AS data, NULL, NULL, NULL, recorded_at_us, ''::bytea
FROM events WHERE stream = ANY ($1::text[]) AND position < $2 ORDER BY position
