-- Folded states of accounts with a long history, so that none has to be folded from its first event. A cache:
-- without its rows everything is the same, only slower. A row counts only while the log holds the event it names.
CREATE TABLE snapshots (
    stream   text   NOT NULL PRIMARY KEY,
    version  bigint NOT NULL CHECK (version > 0),        -- of the last event that is folded in,
    position bigint NOT NULL CHECK (position > 0),       -- where that stands,
    hash     bytea  NOT NULL CHECK (length(hash) = 32),  -- and its hash
    format   text   NOT NULL,                            -- of the state; another one's rows are left alone
    state    json   NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON snapshots TO neurocards_app;
GRANT SELECT ON snapshots TO auditor;
