-- name: activate_version
-- $1 name, $2 version that becomes active
UPDATE cursors SET active = true WHERE name = $1 AND version = $2

-- name: add_version
-- The cursor of a version that nobody reads yet. $1 name, $2 version
INSERT INTO cursors (name, version, active) VALUES ($1, $2, false)

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
SELECT indexrelid::regclass::text AS name FROM pg_index
WHERE indrelid = $1::text::regclass AND NOT indisprimary ORDER BY 1

-- name: newest_version
-- The highest version there is, active or not. $1 name
SELECT max(version) FROM cursors WHERE name = $1

-- name: retire_version
-- $1 name, $2 version that stops being active
UPDATE cursors SET active = false WHERE name = $1 AND version = $2

-- name: versions
-- A projection's versions that are not the active one, and where they are: left over from a swap or an abandoned
-- rebuild. $1 name
SELECT version, position, hash FROM cursors WHERE name = $1 AND NOT active ORDER BY version
