-- Let the view show another version. Not a rename: views that depend on this one follow, and no table is locked.
CREATE OR REPLACE VIEW {view} AS SELECT {columns} FROM {table}
