-- Rows by key. $1 keys
SELECT {columns} FROM {table} WHERE {key} = ANY ($1::text[])
