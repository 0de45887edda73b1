-- What was judged before an order, so that asking ten times is asking once, also over a restart. A verdict
-- belongs to the exact text (by its hash) or to the exact photo (by its blob key, whose bytes never change),
-- not to an order: a changed text is another content. Erased with the person.

CREATE TABLE verdicts (
    account   text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    content   text        NOT NULL,                 -- `text:<sha256>` or the photo's blob key
    kinds     text[]      NOT NULL,                 -- what is wrong with it; empty: nothing
    judged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, content)
);
GRANT SELECT, INSERT, DELETE ON verdicts TO neurocards_app;
