-- name: active_cursors
-- Every projection's active version and where it is. $1 names
SELECT name, version, position, hash FROM cursors WHERE active AND name = ANY ($1::text[])

-- name: all_rows
-- All rows in the order of their keys' bytes.
SELECT {columns} FROM {table} ORDER BY {key} COLLATE "C"

-- name: create_table
-- A version's empty table, without the indexes but the key's.
CREATE TABLE {table} ({definitions}, PRIMARY KEY ({key})) WITH (fillfactor = {fillfactor})

-- name: cursor
-- Where the active version is. $1 name
SELECT version, position, hash FROM cursors WHERE name = $1 AND active

-- name: earlier_events
-- Earlier events of several streams, each before a version of its own, of some types. $1 streams, $2 versions, $3 types
SELECT w.stream, e.type, e.data, e.position, encode(e.hash, 'hex')
FROM unnest($1::text[], $2::bigint[]) AS w (stream, version)
CROSS JOIN LATERAL (
    -- OFFSET keeps this apart, so that each stream is read by its index whatever the planner thinks of the table.
    SELECT e.version, e.type, e.data::text AS data, e.position, e.hash FROM events e
    WHERE e.stream = w.stream AND e.version < w.version ORDER BY e.version OFFSET 0
) AS e
WHERE e.type = ANY ($3::text[])
ORDER BY w.stream, e.version

-- name: grant_table
-- Rights on a version's table.
GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO neurocards_app;
GRANT SELECT ON {table} TO neurocards_reader

-- name: load_rows
-- Rows by key. $1 keys
SELECT {columns} FROM {table} WHERE {key} = ANY ($1::text[])

-- name: lock_cursor
-- Lock the active version's cursor for this transaction. No row: there is none, or the active version was just
-- swapped while we waited (ask again). Also what the log holds at another position.
-- $1 name, $2 a position
SELECT c.version, c.position, c.hash, (SELECT e.hash FROM events e WHERE e.position = $2) AS log_hash
FROM cursors c WHERE c.name = $1 AND c.active FOR UPDATE OF c

-- name: lock_version
-- Lock one version's cursor for this transaction. $1 name, $2 a position in the log, $3 version
SELECT c.version, c.position, c.hash, (SELECT e.hash FROM events e WHERE e.position = $2) AS log_hash
FROM cursors c WHERE c.name = $1 AND c.version = $3 FOR UPDATE OF c

-- name: move_cursor
-- The consumer has applied everything up to here. $1 name, $2 version, $3 position, $4 hash
UPDATE cursors SET position = $3, hash = $4, updated_at = clock_timestamp() WHERE name = $1 AND version = $2

-- name: replace_view
-- Let the view show another version. Not a rename: views that depend on this one follow, and no table is locked.
CREATE OR REPLACE VIEW {view} AS SELECT {columns} FROM {table}

-- name: store_rows
-- Insert or replace rows. One JSON text is cheaper to send than thousands of array elements.
-- $1 a JSON array of objects
INSERT INTO {table} AS stored ({columns})
SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::json)
ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded})

-- name: view_columns
-- What the views show. $1 their names
SELECT name, a.attname AS column FROM unnest($1::text[]) AS name JOIN pg_attribute a ON a.attrelid = to_regclass(name)
