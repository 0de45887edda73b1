-- Keep the seat and the entries that are still ours.
-- KEYS: stream, seat. ARGV: group, consumer, token, lease in ms, entry ids…
-- Returns false when another process has the seat; else per id 1 kept, 0 another owns it, -1 not pending (wiped).
-- A seat nobody has (it expired, or everything was wiped) is taken again.
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[3] then
    return false
end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
local found = {}
for i = 5, #ARGV do
    local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
    if pending.err or #pending == 0 then
        found[#found + 1] = -1
    elseif pending[1][2] ~= ARGV[2] then
        found[#found + 1] = 0
    else
        -- A bare XCLAIM would steal the entry back from a new owner; here it only resets the idle time.
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
        found[#found + 1] = 1
    end
end
return found
