-- Put a stream that was built in the place of `ledger`, if then it ends with the same event. It may be given the
-- events that follow first, so that a `ledger` that goes on growing can be caught up with.
-- KEYS: ledger, epoch, the built one, where to put the old one.
-- ARGV: 1 epoch there must be, 2 last ID of the built one, 3 its length, 4 how long the end of an entry is that
--       tells its hash, 5 first position of what follows, then the events that follow.
-- Returns: 'swapped', 'behind' (more has to follow), 'gone' (built in vain) or 'differs'; last ID of the built one.
local built = last_id(KEYS[3])
if redis.call('GET', KEYS[2]) ~= ARGV[1] or built ~= ARGV[2] or redis.call('XLEN', KEYS[3]) ~= tonumber(ARGV[3]) then
    return {'gone', built}
end
local last = last_id(KEYS[1])
local target = tonumber(string.match(last, '^(%d+)%-0$'))
if target == nil then
    return {'differs', built}
end
local first = tonumber(ARGV[5])
if target < first - 1 then
    return {'gone', built}
end
for i = 6, #ARGV do
    local position = first + i - 6
    if position > target then
        break
    end
    built = string.format('%.0f-0', position)
    redis.call('XADD', KEYS[3], built, 'event', ARGV[i])
end
if built ~= last then
    return {'behind', built}
end
local event = event_at(KEYS[1], last)
if event and string.sub(event, -ARGV[4]) ~= string.sub(event_at(KEYS[3], last), -ARGV[4]) then
    return {'differs', built}
end
for _, fields in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local group = {}
    for i = 1, #fields, 2 do
        group[fields[i]] = fields[i + 1]
    end
    redis.call('XGROUP', 'CREATE', KEYS[3], group.name, group['last-delivered-id'])
end
redis.call('PERSIST', KEYS[3])
redis.call('RENAME', KEYS[1], KEYS[4])
redis.call('RENAME', KEYS[3], KEYS[1])
redis.call('UNLINK', KEYS[4])
return {'swapped', built}
