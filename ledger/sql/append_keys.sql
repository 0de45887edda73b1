-- Under the lock: which of these keys stand in the log already. $1 keys, joined by the unit separator
SELECT key, body_hash, position, command_events, recorded_at_us
FROM events WHERE key = ANY (string_to_array($1, U&'\001F'))
