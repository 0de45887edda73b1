-- Who was erased and came back gets no second welcome, uses no code again and owes what they owed: keyed hashes of the
-- Telegram id, alone or with a code, and nothing else, no time either: it would say which account's erasure it was.
-- The key (FORGET_SECRET) is not in the database.

CREATE TABLE forgotten (
    person bytea  NOT NULL PRIMARY KEY CHECK (length(person) = 32),
    debt   bigint NOT NULL DEFAULT 0 CHECK (debt >= 0)   -- credits
);
GRANT SELECT, INSERT, UPDATE ON forgotten TO neurocards_app;
