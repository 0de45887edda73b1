-- The events later than a moment: the first, how many, and the latest time. $1 after this position, $2 the moment
SELECT min(position) AS first, count(*) AS events, max(recorded_at_us) AS latest_us
FROM events WHERE position > $1 AND recorded_at_us > $2::bigint
