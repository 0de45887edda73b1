-- $1 level, $2 index of the first one, $3 their hashes, one run of 32-byte pieces
INSERT INTO tree_tiles (level, index, hash)
SELECT $1, $2::bigint + n, substring($3::bytea FROM (n * 32 + 1)::int FOR 32)
FROM generate_series(0, length($3::bytea) / 32 - 1) AS n
