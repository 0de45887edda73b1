-- A table's storage parameters as CREATE TABLE takes them, empty for none. $1 table
SELECT coalesce('WITH (' || array_to_string(reloptions, ', ') || ')', '') FROM pg_class WHERE oid = $1::text::regclass
