-- How many rows a read model has.
SELECT count(*) FROM {table}
