-- The events at these positions: when each was recorded, its hash, stream and type. $1 positions
SELECT position, recorded_at_us, hash, stream, type FROM events WHERE position = ANY ($1::bigint[])
