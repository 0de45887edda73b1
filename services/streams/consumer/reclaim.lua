-- Take over what others have let lie for longer than the lease, while we have our seat.
-- KEYS: stream, seat. ARGV: group, consumer, token, lease in ms, cursor, count
-- Returns XAUTOCLAIM's reply: next cursor, entries, ids that were pending and are no longer in the stream.
if redis.call('GET', KEYS[2]) ~= ARGV[3] then
    return { ARGV[5], {}, {} }
end
return redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[4], ARGV[5], 'COUNT', ARGV[6])
