-- The highest version there is, active or not. $1 name
SELECT max(version) FROM cursors WHERE name = $1
