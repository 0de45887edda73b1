-- What money needs beside the log. The ledger says what was ordered, paid and refunded; here is what is personal
-- about it (erasable), what is still to be looked after, and what the comparisons with the provider have found.

-- A payment's person: to where the receipt goes, and what the chat shows. Gone when they are erased.
CREATE TABLE payment_links (
    payment          text        NOT NULL PRIMARY KEY,
    account          text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    contact          text,                            -- e-mail or phone for the receipt (54-FZ)
    confirmation_url text,                            -- where the provider takes the money
    chat_id          bigint,
    message_id       bigint,                          -- the status message
    draft            text,                            -- the order to come back to
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX payment_links_account ON payment_links (account);
CREATE INDEX payment_links_old ON payment_links (created_at);

-- The very words the provider was asked with, kept before the first call: an unknown outcome is found out by
-- asking the same again, and the same key with other words is an error. They hold the receipt's contact, where there
-- is one, and then their person.
CREATE TABLE payment_requests (
    payment text NOT NULL,
    refund  text NOT NULL DEFAULT '',                 -- ours; empty: the payment itself
    account text REFERENCES accounts ON DELETE CASCADE,
    request text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (payment, refund)
);
CREATE INDEX payment_requests_account ON payment_requests (account);
CREATE INDEX payment_requests_old ON payment_requests (created_at);

-- What is not final yet, one row per payment or refund; deleted when it is.
CREATE TABLE payment_watch (
    payment   text        NOT NULL,
    refund    text        NOT NULL DEFAULT '',
    account   text        NOT NULL,
    provider  text        NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- before the first call: the provider keeps our key a day
    due_at    timestamptz NOT NULL,                   -- next look
    reads     bigint      NOT NULL DEFAULT 0,
    told_at   timestamptz,                            -- a notification said it was paid, and nobody could be asked
    PRIMARY KEY (payment, refund)
);
CREATE INDEX payment_watch_due ON payment_watch (due_at);

-- The provider's book against the ledger: one row per comparison, one per thing that differed.
CREATE TABLE payment_comparisons (
    comparison bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider   text        NOT NULL,
    since      timestamptz NOT NULL,
    began_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,                           -- NULL: broken off, or under way
    payments   bigint      NOT NULL DEFAULT 0,        -- compared
    refunds    bigint      NOT NULL DEFAULT 0
);

CREATE TABLE payment_differences (
    comparison       bigint      NOT NULL REFERENCES payment_comparisons,
    kind             text        NOT NULL CHECK (
        kind IN ('missing', 'extra', 'amount', 'flagged', 'foreign', 'unjudged')),
    object           text        NOT NULL CHECK (object IN ('payment', 'refund')),
    payment          text        NOT NULL DEFAULT '', -- ours
    provider_payment text        NOT NULL DEFAULT '',
    provider_refund  text        NOT NULL DEFAULT '',
    ours_minor       bigint,
    theirs_minor     bigint,
    currency         text        NOT NULL DEFAULT '',
    repaired         boolean     NOT NULL DEFAULT false, -- the comparison has put it right
    note             text        NOT NULL DEFAULT ''
);
CREATE INDEX payment_differences_comparison ON payment_differences (comparison);

-- What was compared, and what was found, stands for ever; a comparison ends once.
CREATE TRIGGER payment_comparisons_append_only BEFORE DELETE OR TRUNCATE ON payment_comparisons
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER payment_comparisons_end_once BEFORE UPDATE ON payment_comparisons
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL OR OLD.comparison <> NEW.comparison OR OLD.provider <> NEW.provider
                       OR OLD.since <> NEW.since OR OLD.began_at <> NEW.began_at)
    EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER payment_differences_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_differences
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

GRANT SELECT, INSERT, UPDATE, DELETE ON payment_links, payment_requests, payment_watch TO neurocards_app;
GRANT INSERT ON payment_comparisons, payment_differences TO neurocards_app;
GRANT UPDATE (ended_at, payments, refunds) ON payment_comparisons TO neurocards_app;
GRANT SELECT ON payment_watch, payment_comparisons, payment_differences TO neurocards_reader;
