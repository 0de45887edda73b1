-- A fresh table of the same shape as the active one. Rights are not copied.
CREATE TABLE {fresh} (LIKE {live} INCLUDING ALL);
GRANT SELECT, INSERT, UPDATE, DELETE ON {fresh} TO neurocards_app;
GRANT SELECT ON {fresh} TO auditor;
