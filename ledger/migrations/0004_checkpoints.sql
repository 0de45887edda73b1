-- Signed statements about the log (docs/ledger.md), and the cache they are made with.

-- Each row is one signed note. The auditor keeps copies elsewhere: what stands only here proves nothing against
-- someone who can rewrite this database.
CREATE TABLE checkpoints (
    number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     text   NOT NULL CHECK (kind IN ('checkpoint', 'restored')),
    position bigint NOT NULL CHECK (position >= 0),         -- the log's head when it was signed,
    hash     bytea  NOT NULL CHECK (length(hash) = 32),     -- and the hash there
    made_at  timestamptz NOT NULL,                          -- as the note says
    note     text   NOT NULL CHECK (length(note) <= 100000) -- the whole signed text; the columns only repeat it
);
CREATE INDEX checkpoints_position ON checkpoints (position);
CREATE TRIGGER checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
COMMENT ON TABLE checkpoints IS 'Immutable. Signed notes: "the log had this head", "the log was restored to here".';

-- Roots of whole subtrees of the Merkle tree over the log: at level k, of 2^(8k) events each. A cache: it is
-- checked against the last signed root whenever it is used, and may be emptied at any time.
CREATE TABLE tree_tiles (
    level int    NOT NULL CHECK (level > 0),
    index bigint NOT NULL CHECK (index >= 0),               -- covers the positions after index * 2^(8 * level)
    hash  bytea  NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, index)
);

GRANT SELECT, INSERT ON checkpoints TO neurocards_app;
GRANT SELECT, INSERT, DELETE ON tree_tiles TO neurocards_app;
GRANT SELECT ON checkpoints, tree_tiles TO auditor;
