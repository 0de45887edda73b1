-- An account's events up to a position. $1 stream, $2 position
SELECT position, version, type, data::text AS data, recorded_at_us
FROM events WHERE stream = $1 AND position <= $2 ORDER BY version
