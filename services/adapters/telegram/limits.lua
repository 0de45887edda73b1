-- Two buckets at once (generic cell rate): everyone's and one chat's. Takes a slot of both or of neither.
-- KEYS: everyone's, the chat's; each holds the time, in microseconds, at which it is full again
-- ARGV: interval and burst of everyone's, interval and burst of the chat's, longest wait; all times in microseconds
-- Returns {1 taken or 0 not, microseconds to wait}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local longest, full_at = 0, {}
for i = 1, 2 do
    local interval, burst = tonumber(ARGV[i * 2 - 1]), tonumber(ARGV[i * 2])
    local full = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now)
    longest = math.max(longest, full - (burst - 1) * interval - now)
    full_at[i] = full + interval
end
if longest > tonumber(ARGV[5]) then
    return {0, longest}
end
for i = 1, 2 do
    local ttl_ms = math.floor((full_at[i] - now) / 1000) + 1000
    redis.call('SET', KEYS[i], string.format('%.0f', full_at[i]), 'PX', ttl_ms)
end
return {1, longest}
