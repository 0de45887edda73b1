-- Add a whole batch to both streams if `ledger` is just before it; else write nothing.
-- KEYS: ledger, jobs, epoch.
-- ARGV: 1 last ID that ledger must have (first position - 1), 2 how the event there must end (its hash),
--       3 last ID that jobs must have, 4 epoch there must be,
--       5 first position, 6 cap on ledger's length, 7 number of events,
--       then the events, then for jobs: ID, job, type, …
-- Returns: 1 and the new last ID, or 0 and the last ID there is.
local last = last_id(KEYS[1])
if last ~= ARGV[1] or last_id(KEYS[2]) ~= ARGV[3] or redis.call('GET', KEYS[3]) ~= ARGV[4] then
    return {0, last}
end
local before = event_at(KEYS[1], last)
if before and string.sub(before, -#ARGV[2]) ~= ARGV[2] then
    return {0, last}
end
local first, count = tonumber(ARGV[5]), tonumber(ARGV[7])
for i = 1, count do
    last = string.format('%.0f-0', first + i - 1)
    redis.call('XADD', KEYS[1], last, 'event', ARGV[7 + i])
end
for i = 8 + count, #ARGV, 3 do
    redis.call('XADD', KEYS[2], ARGV[i], 'job', ARGV[i + 1], 'type', ARGV[i + 2])
end
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[6])
return {1, last}
