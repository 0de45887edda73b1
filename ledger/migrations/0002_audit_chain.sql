-- The chain, checkable in plain SQL: audit.chain_breaks is empty when every hash follows from the one before.

CREATE SCHEMA audit;

CREATE FUNCTION audit.sized(value bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN value IS NULL THEN int4send(-1) ELSE int4send(length(value)) || value END;

CREATE FUNCTION audit.event_hash(previous bytea, event public.events) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN sha256(
        previous
        || int8send((event).position)
        || audit.sized(convert_to((event).stream, 'UTF8'))
        || int8send((event).version)
        || audit.sized(convert_to((event).type, 'UTF8'))
        || audit.sized(convert_to((event).data::text, 'UTF8'))
        || audit.sized(convert_to((event).key, 'UTF8'))
        || audit.sized((event).body_hash)
        || audit.sized(int8send((event).command_events))
        || int8send((event).recorded_at_us)
    );

CREATE VIEW audit.chain_breaks AS
SELECT position, stream, type, expected_position, stored_hash, computed_hash
FROM (
    SELECT e.position, e.stream, e.type, e.hash AS stored_hash,
           row_number() OVER w AS expected_position,
           audit.event_hash(coalesce(lag(e.hash) OVER w, decode(repeat('00', 32), 'hex')), e) AS computed_hash
    FROM public.events e
    WINDOW w AS (ORDER BY e.position)
) AS checked
WHERE stored_hash <> computed_hash OR position <> expected_position;

CREATE VIEW audit.events AS
SELECT position, stream, version, type, data, key,
       timestamptz 'epoch' + recorded_at_us * interval '1 microsecond' AS recorded_at, hash
FROM public.events;
