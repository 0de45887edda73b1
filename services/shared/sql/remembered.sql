-- What is kept of who was erased. $1 keyed hashes of theirs, the newest secret's first
SELECT debt FROM forgotten WHERE person = ANY($1::bytea[]) ORDER BY array_position($1::bytea[], person) LIMIT 1
