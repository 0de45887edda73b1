-- Rows of the second half take the places of those that the first has made.
INSERT INTO {table} ({columns}) SELECT {columns} FROM {late}
ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded})
