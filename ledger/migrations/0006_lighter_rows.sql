-- The same guards as in 0001, cheaper for each row (a fifth of an insert's time went there).

-- Half of the events carry no key and need no entry.
ALTER TABLE events DROP CONSTRAINT events_key;
CREATE UNIQUE INDEX events_key ON events (key) WHERE key IS NOT NULL;

-- One expression instead of seven. What `json` lets through and `->>` then fails on is all written with \u (NUL and
-- lone surrogates), so only such data has to prove that jsonb takes it.
ALTER TABLE events
    DROP CONSTRAINT events_stream_check,
    DROP CONSTRAINT events_version_check,
    DROP CONSTRAINT events_data_check,
    DROP CONSTRAINT events_body_hash_check,
    DROP CONSTRAINT events_command_events_check,
    DROP CONSTRAINT events_hash_check,
    DROP CONSTRAINT events_check,
    ADD CONSTRAINT events_whole CHECK (
        version > 0 AND length(stream) BETWEEN 1 AND 200 AND length(hash) = 32
        AND (key IS NULL) = (body_hash IS NULL) AND (key IS NULL) = (command_events IS NULL)
        AND (key IS NULL OR (length(body_hash) = 32 AND command_events > 0))
        AND (strpos(data::text, '\u') = 0 OR data::jsonb IS NOT NULL));
