-- $1 name, $2 version that becomes active
UPDATE cursors SET active = true WHERE name = $1 AND version = $2
