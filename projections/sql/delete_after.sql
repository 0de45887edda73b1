-- Rows that are later than the cursor: a second half has left them. $1 position
DELETE FROM {table} WHERE position > $1
