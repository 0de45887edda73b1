-- The rows as lines of JSON; `data` stands in them as it is, so that its exact text is that of the line.
-- $1 first position, $2 last position
SELECT '{"position":' || position || ',"stream":' || to_json(stream) || ',"version":' || version
    || ',"type":' || to_json(type) || ',"data":' || data || ',"key":' || coalesce(to_json(key)::text, 'null')
    || ',"body_hash":' || coalesce('"' || encode(body_hash, 'hex') || '"', 'null')
    || ',"command_events":' || coalesce(command_events::text, 'null')
    || ',"recorded_at_us":' || recorded_at_us || ',"hash":"' || encode(hash, 'hex') || '"}'
FROM events WHERE position BETWEEN $1 AND $2 ORDER BY position
