-- Who may still be given entries of `jobs`. All in one step: an entry on its way from the stream into a worker's
-- hands would else be seen in neither.
-- KEYS: ledger, jobs. ARGV: group, entry ids…
-- Returns: ledger's last ID, the group's last-delivered ID ('' without a group), then per id
--          1 if it is pending in the group, plus 2 if it is in the stream.
local function field(fields, name)
    for i = 1, #fields, 2 do
        if fields[i] == name then
            return fields[i + 1]
        end
    end
    return ''
end
local found = { '0-0', '' }
if redis.call('EXISTS', KEYS[1]) == 1 then
    found[1] = field(redis.call('XINFO', 'STREAM', KEYS[1]), 'last-generated-id')
end
if redis.call('EXISTS', KEYS[2]) == 1 then
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do
        if field(group, 'name') == ARGV[1] then
            found[2] = field(group, 'last-delivered-id')
        end
    end
end
if found[2] == '' then
    return found
end
for i = 2, #ARGV do
    local pending = #redis.call('XPENDING', KEYS[2], ARGV[1], ARGV[i], ARGV[i], 1)
    local there = #redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i], 'COUNT', 1)
    found[#found + 1] = pending + 2 * there
end
return found
