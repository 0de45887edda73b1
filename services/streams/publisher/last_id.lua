-- The last ID a stream has given, also when its entries were trimmed; '0-0' for one that is missing.
local function last_id(key)
    if redis.call('EXISTS', key) == 0 then
        return '0-0'
    end
    local info = redis.call('XINFO', 'STREAM', key)
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            return info[i + 1]
        end
    end
    return redis.error_reply('ERR XINFO STREAM tells no last-generated-id')
end

-- The last entry's event, nil when there is none or it is not at `id`.
local function event_at(key, id)
    local entry = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
    if entry and entry[1] == id then
        return entry[2][2]
    end
    return nil
end
