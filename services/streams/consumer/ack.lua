-- Acknowledge entries, each only while it is ours: XACK asks nobody who owns it.
-- KEYS: stream, seat. ARGV: group, consumer, token, entry ids…
-- Returns the number acknowledged.
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[3] then
    return 0
end
local acknowledged = 0
for i = 4, #ARGV do
    local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
    if not pending.err and #pending == 1 and pending[1][2] == ARGV[2] then
        acknowledged = acknowledged + redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
    end
end
return acknowledged
