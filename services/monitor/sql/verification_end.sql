-- It was verified. $1, $2 the head's position and hash, $3 from the start, $4 what is wrong
UPDATE verification
SET position = $1, hash = $2, ended_at = clock_timestamp(), problems = $4::text::jsonb, taken_until = '-infinity',
    whole_at = CASE WHEN $3 THEN clock_timestamp() ELSE whole_at END
