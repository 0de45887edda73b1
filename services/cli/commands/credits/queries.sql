-- name: receipt_of
-- $1 key
SELECT position, command_events, recorded_at_us, body_hash FROM events WHERE key = $1
