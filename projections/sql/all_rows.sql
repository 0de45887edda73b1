-- All rows in the order of their keys' bytes.
SELECT {columns} FROM {table} ORDER BY {key} COLLATE "C"
