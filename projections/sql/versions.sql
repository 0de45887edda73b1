-- A projection's versions that are not the active one, and where they are: left over from a swap or an abandoned
-- rebuild. $1 name
SELECT version, position, hash FROM cursors WHERE name = $1 AND NOT active ORDER BY version
