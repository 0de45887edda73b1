-- The cursor of a version that nobody reads yet. $1 name, $2 version
INSERT INTO cursors (name, version, active) VALUES ($1, $2, false)
