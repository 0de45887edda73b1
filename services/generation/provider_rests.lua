-- How long accounts still rest. KEYS: 1 resting accounts (account -> until, ms). ARGV: the accounts' names
-- Returns per account the ms that are left, 0 for one that is well
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local left = {}
for i = 1, #ARGV do
    left[i] = math.max(tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or 0) - now, 0)
end
return left
