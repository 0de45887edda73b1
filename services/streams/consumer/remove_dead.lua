-- Remove consumers whose seat is empty, that have been idle for long, and that hold nothing: with pending
-- entries DELCONSUMER would make those vanish, so all is checked and done in one step.
-- KEYS: stream, the seats of… ARGV: group, idle in ms, …these consumers
-- Returns the number removed.
local info = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if info.err then
    return 0
end
local removable = {}
for _, fields in ipairs(info) do
    local consumer = {}
    for i = 1, #fields, 2 do
        consumer[fields[i]] = fields[i + 1]
    end
    removable[consumer.name] = consumer.pending == 0 and consumer.idle >= tonumber(ARGV[2])
end
local removed = 0
for i = 3, #ARGV do
    if removable[ARGV[i]] and redis.call('EXISTS', KEYS[i - 1]) == 0 then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[i])
        removed = removed + 1
    end
end
return removed
