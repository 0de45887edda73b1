-- Under the lock, in a statement of its own: the clock, the head, and the hash that now stands where our
-- remembered cursor is; and whether this transaction can write at all. One row. $1 position of the remembered cursor
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us,
       head.position, head.hash, head.recorded_at_us,
       (SELECT hash FROM events WHERE position = $1::bigint) AS hash_at_cursor,
       current_setting('transaction_read_only') AS read_only
FROM (SELECT) AS always
LEFT JOIN (SELECT position, hash, recorded_at_us FROM events ORDER BY position DESC LIMIT 1) AS head ON true
