-- Who was erased and came back gets no second welcome: a keyed hash of the Telegram id, nothing else.
-- The key (FORGET_SECRET) is not in the database.

CREATE TABLE forgotten (
    person       bytea       NOT NULL PRIMARY KEY CHECK (length(person) = 32),
    forgotten_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT ON forgotten TO neurocards_app;
