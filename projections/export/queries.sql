-- name: export_csv
-- The rows as columns; what a spreadsheet would execute (tab, return, ' + - = @) has an apostrophe before it. $1 first position, $2 last position
SELECT position, CASE WHEN ascii(stream) = ANY (formula) THEN '''' ELSE '' END || stream AS stream, version,
       CASE WHEN ascii(type) = ANY (formula) THEN '''' ELSE '' END || type AS type,
       CASE WHEN ascii(data::text) = ANY (formula) THEN '''' ELSE '' END || data AS data,
       CASE WHEN ascii(key) = ANY (formula) THEN '''' ELSE '' END || key AS key, encode(body_hash, 'hex') AS body_hash, command_events,
       CASE WHEN ascii(writer) = ANY (formula) THEN '''' ELSE '' END || writer AS writer, recorded_at_us, encode(hash, 'hex') AS hash
FROM events, (VALUES (ARRAY[9, 13, 39, 43, 45, 61, 64])) AS begin (formula)
WHERE position BETWEEN $1 AND $2 ORDER BY position

-- name: export_ends
-- What stands at the ends of a range, and the time. $1 first position, $2 last position
SELECT (SELECT hash FROM events WHERE position = $1::bigint - 1) AS hash_before,
       (SELECT hash FROM events WHERE position = $2::bigint) AS head_hash,
       (SELECT recorded_at_us FROM events WHERE position = $1) AS first_us,
       (SELECT recorded_at_us FROM events WHERE position = $2) AS last_us,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us

-- name: export_jsonl
-- The rows as lines of JSON; `data` stands in them as it is, so that its exact text is that of the line.
-- $1 first position, $2 last position
SELECT '{"position":' || position || ',"stream":' || to_json(stream) || ',"version":' || version
    || ',"type":' || to_json(type) || ',"data":' || data || ',"key":' || coalesce(to_json(key)::text, 'null')
    || ',"body_hash":' || coalesce('"' || encode(body_hash, 'hex') || '"', 'null')
    || ',"command_events":' || coalesce(command_events::text, 'null')
    || ',"writer":' || coalesce(to_json(writer)::text, 'null')
    || ',"recorded_at_us":' || recorded_at_us || ',"hash":"' || encode(hash, 'hex') || '"}'
FROM events WHERE position BETWEEN $1 AND $2 ORDER BY position

-- name: export_sums
-- How many events of each type, and how many credits they moved. $1 first position, $2 last position
SELECT type, CASE WHEN type IN ('CreditsGranted', 'CreditsRevoked', 'CreditsExpired') THEN data ->> 'kind' END AS kind,
       count(*) AS events,
       coalesce(sum(CASE WHEN type LIKE 'Credits%' THEN (data ->> 'amount')::bigint END), 0)::bigint AS credits
FROM events WHERE position BETWEEN $1 AND $2
GROUP BY 1, 2
