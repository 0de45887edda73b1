-- name: activate_version
-- $1 name, $2 version that becomes active
UPDATE cursors SET active = true WHERE name = $1 AND version = $2

-- name: add_version
-- The cursor of a version that nobody reads yet. $1 name, $2 version
INSERT INTO cursors (name, version, active) VALUES ($1, $2, false)

-- name: create_late
-- Beside a fresh table: rows of the log's second half that began in its first.
CREATE UNLOGGED TABLE {late} (LIKE {fresh} INCLUDING ALL)

-- name: create_scratch
-- An empty table of the shape of the active one, for whoever asked what it held once.
CREATE TABLE {fresh} (LIKE {live} INCLUDING ALL EXCLUDING INDEXES, PRIMARY KEY ({key}))

-- name: create_version
-- A fresh table of the shape of the active one; other indexes are made when it is full. Rights are not copied.
CREATE TABLE {fresh} (LIKE {live} INCLUDING ALL EXCLUDING INDEXES, PRIMARY KEY ({key})) {storage};
GRANT SELECT, INSERT, UPDATE, DELETE ON {fresh} TO neurocards_app;
GRANT SELECT ON {fresh} TO auditor;

-- name: delete_after
-- Rows that are later than the cursor: a second half has left them. $1 position
DELETE FROM {table} WHERE position > $1

-- name: differing_rows
-- Keys of rows that are not the same in both tables. Texts of JSON may differ and mean the same: look again.
SELECT coalesce(l.{key}, f.{key}) AS key FROM {live} AS l FULL JOIN {fresh} AS f ON l.{key} = f.{key}
WHERE l.{key} IS NULL OR f.{key} IS NULL OR ({l_columns}) IS DISTINCT FROM ({f_columns})
ORDER BY coalesce(l.{key}, f.{key}) COLLATE "C"

-- name: drop_version
-- Remove a version nobody reads any more.
DROP TABLE IF EXISTS {table}

-- name: forget_version
-- $1 name, $2 version
DELETE FROM cursors WHERE name = $1 AND version = $2 AND NOT active

-- name: indexes_of
-- A table's indexes but the primary key's. $1 table
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
FROM pg_index WHERE indrelid = $1::text::regclass AND NOT indisprimary ORDER BY 1

-- name: merge_late
-- Rows of the second half take the places of those that the first has made.
INSERT INTO {table} ({columns}) SELECT {columns} FROM {late}
ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded})

-- name: newest_version
-- The highest version there is, active or not. $1 name
SELECT max(version) FROM cursors WHERE name = $1

-- name: replace_view
-- Let the view show another version. Not a rename: views that depend on this one follow, and no table is locked.
CREATE OR REPLACE VIEW {view} AS SELECT {columns} FROM {table}

-- name: retire_version
-- $1 name, $2 version that stops being active
UPDATE cursors SET active = false WHERE name = $1 AND version = $2

-- name: storage_of
-- A table's storage parameters as CREATE TABLE takes them, empty for none. $1 table
SELECT coalesce('WITH (' || array_to_string(reloptions, ', ') || ')', '') FROM pg_class WHERE oid = $1::text::regclass

-- name: streams_before
-- The events of some streams before a position, in order, as far as a fold looks at them. $1 streams, $2 position
SELECT position, stream, version, type, data::text AS data, NULL, NULL, NULL, recorded_at_us, ''::bytea
FROM events WHERE stream = ANY ($1::text[]) AND position < $2 ORDER BY position

-- name: try_late_lock
-- Whether nobody folds the second half of a projection's log; until the transaction ends nobody can begin. $1 lock, $2 name
SELECT pg_try_advisory_xact_lock($1, hashtext($2))

-- name: versions
-- A projection's versions that are not the active one, and where they are: left over from a swap or an abandoned
-- rebuild. $1 name
SELECT version, position, hash FROM cursors WHERE name = $1 AND NOT active ORDER BY version
