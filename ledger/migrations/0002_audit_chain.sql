-- The chain, checkable in plain SQL: audit.chain_breaks is empty when every hash follows from the one before.

CREATE SCHEMA audit;

CREATE FUNCTION audit.event_hash(previous bytea, event public.events) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN sha256(
        previous
        || int8send((event).position)
        || int8send((event).version)
        || int8send((event).recorded_at_us)
        || int8send(coalesce((event).command_events, -1))
        || int4send(octet_length((event).stream))
        || int4send(octet_length((event).type))
        || int4send(octet_length((event).data::text))
        || int4send(coalesce(octet_length((event).key), -1))
        || int4send(coalesce(octet_length((event).body_hash), -1))
        || convert_to((event).stream || (event).type || (event).data::text || coalesce((event).key, ''), 'UTF8')
        || coalesce((event).body_hash, '')
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
