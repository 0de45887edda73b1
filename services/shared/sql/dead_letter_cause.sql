-- The first line of a failed job's cause, or else its code. A part of other queries
coalesce(nullif(btrim(split_part(failure_message, E'\n', 1), E' \t\r'), ''), failure_code)
