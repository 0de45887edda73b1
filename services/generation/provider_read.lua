-- Reserve one read. KEYS: 1 when the next read is free (microseconds). ARGV: 1 microseconds between two reads
-- Returns the microseconds to wait before it
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
redis.call('SET', KEYS[1], string.format('%.0f', at + tonumber(ARGV[1])), 'PX', math.floor((at - now) / 1000) + 5000)
return at - now
