-- $1 name, $2 version
DELETE FROM cursors WHERE name = $1 AND version = $2 AND NOT active
