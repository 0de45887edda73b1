-- An account has trouble: it rests, twice as long each time in a row.
-- KEYS: 1 resting accounts (account -> until, ms; account:row -> how many times in a row)
-- ARGV: 1 account, 2 first rest, 3 longest rest, both in ms. Returns the rest in ms
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local until_ms = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if until_ms > now then
    return until_ms - now -- many jobs meet the same trouble at once: it counts once
end
local row = redis.call('HINCRBY', KEYS[1], ARGV[1] .. ':row', 1)
local rest = math.min(tonumber(ARGV[2]) * 2 ^ math.min(row - 1, 20), tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + rest))
return rest
