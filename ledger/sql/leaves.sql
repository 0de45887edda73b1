-- The hashes of a run of positions, joined, and how many there are. $1 after this position, $2 up to this one
SELECT string_agg(hash, ''::bytea ORDER BY position) AS joined, count(*) AS found
FROM events WHERE position > $1 AND position <= $2
