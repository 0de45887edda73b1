-- Make both streams anew, if they are still as they were when this was decided; else write nothing.
-- `ledger` begins with the event at the base, which sets its last ID; `jobs` with every unfinished job up to it.
-- KEYS: ledger, jobs, epoch.
-- ARGV: 1 ledger's last ID, 2 jobs' last ID ('' for a missing stream), 3 epoch ('' for none), as seen;
--       4 ID of the base and 5 its event ('' for a base of 0), 6 consumer group, then ID, job, type, …
-- Returns: 1 and the new epoch, or 0 and the epoch there is.
local epoch = redis.call('GET', KEYS[3]) or ''
local jobs_last = redis.call('EXISTS', KEYS[2]) == 1 and last_id(KEYS[2]) or ''
if last_id(KEYS[1]) ~= ARGV[1] or jobs_last ~= ARGV[2] or epoch ~= ARGV[3] then
    return {0, epoch}
end
-- Milliseconds, so that it grows also when the old number was lost.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
epoch = string.format('%.0f', math.max(now, (tonumber(epoch) or 0) + 1))
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('SET', KEYS[3], epoch)
if ARGV[5] ~= '' then
    redis.call('XADD', KEYS[1], ARGV[4], 'event', ARGV[5])
end
redis.call('XGROUP', 'CREATE', KEYS[2], ARGV[6], '0', 'MKSTREAM')
for i = 7, #ARGV, 3 do
    redis.call('XADD', KEYS[2], ARGV[i], 'job', ARGV[i + 1], 'type', ARGV[i + 2])
end
return {1, epoch}
