-- Remove a version nobody reads any more.
DROP TABLE IF EXISTS {table}
