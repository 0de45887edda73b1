-- $1 name, $2 version that stops being active
UPDATE cursors SET active = false WHERE name = $1 AND version = $2
