-- Where each in-order consumer is, and when it came there.
SELECT name, position, hash, (extract(epoch FROM updated_at) * 1000000)::bigint AS moved_at_us
FROM cursors WHERE active ORDER BY name
