-- The last event up to a position that begins a command, and the time at the position. $1 position
SELECT position, command_events, (SELECT recorded_at_us FROM events WHERE position = $1) AS recorded_at_us
FROM events WHERE position <= $1 AND command_events IS NOT NULL ORDER BY position DESC LIMIT 1
