-- For every event: what its hash covers besides the hash before it, as ledger/chain.py describes, and its hash.
-- The server puts the bytes together: sent as one column they cost a third of what ten columns do.
-- $1 after this position
SELECT int8send(position) || int8send(version) || int8send(recorded_at_us) || int8send(coalesce(command_events, -1))
       || int4send(octet_length(stream)) || int4send(octet_length(type)) || int4send(octet_length(data::text))
       || int4send(coalesce(octet_length(key), -1)) || int4send(coalesce(octet_length(body_hash), -1))
       || convert_to(concat(stream, type, data, key), 'UTF8') || coalesce(body_hash, ''),
       hash
FROM events WHERE position > $1 ORDER BY position
