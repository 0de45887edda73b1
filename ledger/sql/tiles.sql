-- A run of cached subtree roots, joined, and how many there are. $1 level, $2 from this index, $3 up to before this
SELECT string_agg(hash, ''::bytea ORDER BY index) AS joined, count(*) AS found
FROM tree_tiles WHERE level = $1 AND index >= $2 AND index < $3
