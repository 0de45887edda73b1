-- The consumer has applied everything up to here. $1 name, $2 version, $3 position, $4 hash
UPDATE cursors SET position = $3, hash = $4, updated_at = clock_timestamp() WHERE name = $1 AND version = $2
