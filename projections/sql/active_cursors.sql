-- Every projection's active version and where it is. $1 names
SELECT name, version, position, hash FROM cursors WHERE active AND name = ANY ($1::text[])
