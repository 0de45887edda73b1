-- When the event at a position was recorded, epoch seconds. $1 position
SELECT (recorded_at_us / 1e6)::float8 FROM events WHERE position = $1
