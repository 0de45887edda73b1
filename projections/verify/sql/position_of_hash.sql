-- Where a hash stands in the log. Reads all rows: only asked after damage. $1 hash
SELECT position FROM events WHERE hash = $1 LIMIT 1
