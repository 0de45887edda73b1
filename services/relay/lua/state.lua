-- What the streams hold. KEYS: ledger, jobs, epoch.
-- Returns: ledger's last ID, the event there ('' when it was trimmed), jobs' last ID, epoch ('' when there is none).
local last = last_id(KEYS[1])
return {last, event_at(KEYS[1], last) or '', last_id(KEYS[2]), redis.call('GET', KEYS[3]) or ''}
