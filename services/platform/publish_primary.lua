-- KEYS: the primary that leads, who was refused. ARGV: system, timeline, who asks.
-- Answers the timeline that leads: ours, unless a higher one of the same cluster was published.
local system, timeline = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):(%d+)$')
if system == ARGV[1] and tonumber(timeline) > tonumber(ARGV[2]) then
  redis.pcall('SET', KEYS[2], ARGV[3], 'EX', 600) -- a full disk refuses this, and must not hide the answer
  return tonumber(timeline)
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2])
return tonumber(ARGV[2])
