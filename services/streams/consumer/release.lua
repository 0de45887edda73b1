-- Let others take entries of ours at once: they count as idle for longer than the lease.
-- KEYS: stream, seat. ARGV: group, consumer, token, idle in ms, 1 to leave the seat too, entry ids… (none: all ours)
-- Returns the number released.
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[3] then
    return 0
end
local released = 0
local function release(first, last, count)
    local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], first, last, count, ARGV[2])
    if pending.err or #pending == 0 then
        return nil
    end
    for _, entry in ipairs(pending) do
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry[1], 'IDLE', ARGV[4], 'JUSTID')
        released = released + 1
    end
    return pending[#pending][1]
end
if #ARGV == 5 then
    local last = release('-', '+', 500)
    while last do
        last = release('(' .. last, '+', 500)
    end
end
for i = 6, #ARGV do
    release(ARGV[i], ARGV[i], 1)
end
if ARGV[5] == '1' then
    redis.call('DEL', KEYS[2])
end
return released
