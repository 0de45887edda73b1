-- A table's indexes but the primary key's. $1 table
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
FROM pg_index WHERE indrelid = $1::text::regclass AND NOT indisprimary ORDER BY 1
