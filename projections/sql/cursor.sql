-- Where the active version is. $1 name
SELECT version, position, hash FROM cursors WHERE name = $1 AND active
