-- A fresh table of the shape of the active one; other indexes are made when it is full. Rights are not copied.
CREATE TABLE {fresh} (LIKE {live} INCLUDING ALL EXCLUDING INDEXES, PRIMARY KEY ({key})) {storage};
GRANT SELECT, INSERT, UPDATE, DELETE ON {fresh} TO neurocards_app;
GRANT SELECT ON {fresh} TO auditor;
