-- Add events to a stream that is being built, if it is just before them; else write nothing.
-- KEYS: the stream being built.
-- ARGV: 1 last ID that it must have, 2 first position, 3 seconds after which it is gone unless more is added,
--       then the events.
-- Returns: the last ID there is.
if last_id(KEYS[1]) ~= ARGV[1] then
    return {last_id(KEYS[1])}
end
local first, last = tonumber(ARGV[2]), nil
for i = 4, #ARGV do
    last = string.format('%.0f-0', first + i - 4)
    redis.call('XADD', KEYS[1], last, 'event', ARGV[i])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return {last}
