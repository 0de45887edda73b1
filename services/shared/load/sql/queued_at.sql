-- When a job was queued. $1 its stream
SELECT recorded_at_us FROM events WHERE stream = $1 AND version = 1
