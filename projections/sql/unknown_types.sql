-- The first event of a type that this code does not know. $1 up to this position, $2 the types it knows
SELECT type, position FROM events WHERE position <= $1 AND type <> ALL ($2::text[]) ORDER BY position LIMIT 1
