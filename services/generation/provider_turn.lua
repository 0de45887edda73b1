-- Whose turn it is to make the provider work. Fair between users: a turn costs its user one unit of virtual time,
-- and the lowest goes first, so that one user's fifty videos do not stand before another's one.
-- KEYS: 1 waiting (ticket -> virtual time), 2 seen (ticket -> last asked, ms), 3 virtual times (user -> last one),
--       4 resting accounts (account -> until, ms), 5 what this user has in flight (ticket -> until, ms),
--       6 the virtual time now, 7… one window per account (turn -> when, ms)
-- ARGV: 1 ticket, 2 user, 3 window ms, 4 turns per window, 5 forget who has not asked for ms,
--       6 in flight at most, 7 in flight for at most ms, 8… the accounts' names
-- Returns {account or '', ms to wait, 1 when every account rests, 1 when the account has had trouble lately}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ticket, user, window, per_window = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[5]))) do
    redis.call('ZREM', KEYS[1], gone)
    redis.call('ZREM', KEYS[2], gone)
end

redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
if redis.call('ZCARD', KEYS[5]) >= tonumber(ARGV[6]) and not redis.call('ZSCORE', KEYS[5], ticket) then
    redis.call('ZREM', KEYS[1], ticket) -- others must not wait behind who may not go
    redis.call('ZREM', KEYS[2], ticket)
    return {'', 1000, 0, 0}
end

local virtual = tonumber(redis.call('GET', KEYS[6]) or 0)
local mine = tonumber(redis.call('ZSCORE', KEYS[1], ticket) or 0)
if mine == 0 then
    mine = math.max(virtual, tonumber(redis.call('ZSCORE', KEYS[3], user) or 0)) + 1
    redis.call('ZADD', KEYS[1], mine, ticket)
    redis.call('ZADD', KEYS[3], mine, user)
end
redis.call('ZADD', KEYS[2], now, ticket)

local free, most, chosen, soonest, rest_ends = 0, 0, nil, window, nil
for i = 8, #ARGV do
    local turns = KEYS[i - 1]
    local rests = tonumber(redis.call('HGET', KEYS[4], ARGV[i]) or 0)
    if rests > now then
        rest_ends = math.min(rest_ends or rests, rests)
    else
        redis.call('ZREMRANGEBYSCORE', turns, '-inf', now - window)
        local left = per_window - redis.call('ZCARD', turns)
        free = free + left
        chosen = chosen or i
        if left > most then
            most, chosen = left, i
        end
        local oldest = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')
        if left <= 0 and oldest[2] then
            soonest = math.min(soonest, tonumber(oldest[2]) + window - now)
        elseif left > 0 then
            soonest = 0
        end
    end
end
if not chosen then
    return {'', rest_ends - now, 1, 0}
end
if redis.call('ZRANK', KEYS[1], ticket) >= free then
    return {'', math.max(soonest, 50), 0, 0}
end
redis.call('ZADD', KEYS[chosen - 1], now, ticket .. ':' .. now)
redis.call('PEXPIRE', KEYS[chosen - 1], window)
redis.call('ZREM', KEYS[1], ticket)
redis.call('ZREM', KEYS[2], ticket)
redis.call('SET', KEYS[6], mine, 'PX', 3600000)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', mine - 1)
redis.call('ZADD', KEYS[5], now + tonumber(ARGV[7]), ticket)
redis.call('PEXPIRE', KEYS[5], ARGV[7])
return {ARGV[chosen], 0, 0, redis.call('HEXISTS', KEYS[4], ARGV[chosen] .. ':row')}
