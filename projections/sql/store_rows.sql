-- Insert or replace rows. One JSON text is cheaper to send than thousands of array elements.
-- $1 a JSON array of objects
INSERT INTO {table} AS stored ({columns})
SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::json)
ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded})
