-- What the streams hold. KEYS: ledger, jobs, epoch.
-- Returns: ledger's last ID, the event there ('' when it was trimmed), jobs' last ID ('' when it is missing),
--          epoch ('' when there is none).
local last = last_id(KEYS[1])
local jobs_last = redis.call('EXISTS', KEYS[2]) == 1 and last_id(KEYS[2]) or ''
return {last, event_at(KEYS[1], last) or '', jobs_last, redis.call('GET', KEYS[3]) or ''}
