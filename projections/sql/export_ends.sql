-- What stands at the ends of a range, and the time. $1 first position, $2 last position
SELECT (SELECT hash FROM events WHERE position = $1::bigint - 1) AS hash_before,
       (SELECT hash FROM events WHERE position = $2::bigint) AS head_hash,
       (SELECT recorded_at_us FROM events WHERE position = $1) AS first_us,
       (SELECT recorded_at_us FROM events WHERE position = $2) AS last_us,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us
