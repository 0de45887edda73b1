-- An empty table of the shape of the active one, for whoever asked what it held once.
CREATE TABLE {fresh} (LIKE {live} INCLUDING ALL EXCLUDING INDEXES, PRIMARY KEY ({key}))
