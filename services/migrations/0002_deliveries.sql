-- What a chat is owed: one row per message to send once (deliveries), and one per order whose status message
-- is edited as its jobs move. Written by the notifier in the transaction that moves its cursor.
-- No chat ids: who an account is stands in `accounts` alone, so that erasing someone is done in one place.

INSERT INTO cursors (name) VALUES ('notifier') ON CONFLICT DO NOTHING;

CREATE TABLE order_jobs (
    job      text   NOT NULL PRIMARY KEY,
    order_id text   NOT NULL,
    account  text   NOT NULL,
    number   bigint NOT NULL,                        -- this job is number `number` of `of_jobs` in its order
    of_jobs  bigint NOT NULL,
    price    bigint NOT NULL,
    locale   text   NOT NULL,                        -- the language the order was made in
    state    text   NOT NULL
        CHECK (state IN ('queued', 'writing', 'rendering', 'retrying', 'done', 'failed', 'gifted'))
);
CREATE INDEX order_jobs_order ON order_jobs (order_id, number);

CREATE TABLE order_statuses (
    order_id   text        NOT NULL PRIMARY KEY,
    account    text        NOT NULL,
    wanted     bigint      NOT NULL DEFAULT 1,       -- version of what the message should show
    shown      bigint      NOT NULL DEFAULT 0,       -- version it shows, as far as we know
    abandoned  boolean     NOT NULL DEFAULT false,   -- it cannot be edited any more
    claims     bigint      NOT NULL DEFAULT 0,       -- fencing token: grows each time someone takes the row
    attempts   int         NOT NULL DEFAULT 0,       -- failed edits in a row
    due_at     timestamptz NOT NULL DEFAULT clock_timestamp(),  -- not to be taken before
    last_error text
);
CREATE INDEX order_statuses_due ON order_statuses (due_at) WHERE wanted > shown AND NOT abandoned;

CREATE TABLE deliveries (
    job           text        NOT NULL,
    kind          text        NOT NULL CHECK (kind IN ('video', 'failure', 'gift')),
    position      bigint      NOT NULL UNIQUE,       -- of the event that owes it; the order within an account
    account       text        NOT NULL,
    order_id      text        NOT NULL,
    number        bigint      NOT NULL,
    of_jobs       bigint      NOT NULL,
    locale        text        NOT NULL,
    refunded      bigint      NOT NULL DEFAULT 0,    -- credits that came back
    error_class   text        NOT NULL DEFAULT '',
    blob          text        NOT NULL DEFAULT '',   -- of a video or gift
    size_bytes    bigint      NOT NULL DEFAULT 0,
    state         text        NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'sending', 'sent', 'failed', 'skipped')),
    as_link       boolean     NOT NULL DEFAULT false,-- Telegram does not take the file: send where it lies
    claims        bigint      NOT NULL DEFAULT 0,    -- fencing token
    attempts      int         NOT NULL DEFAULT 0,    -- sends begun
    unknown_sends int         NOT NULL DEFAULT 0 CHECK (unknown_sends <= 2),  -- sends that may have arrived
    due_at        timestamptz NOT NULL DEFAULT clock_timestamp(),  -- next attempt, or end of the taker's lease
    message_id    bigint,
    file_id       text,
    last_error    text,
    owed_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at    timestamptz,
    PRIMARY KEY (job, kind)
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state IN ('pending', 'sending');
CREATE INDEX deliveries_turn ON deliveries (account, position) WHERE state IN ('pending', 'sending');

GRANT SELECT, INSERT, UPDATE, DELETE ON order_jobs, order_statuses, deliveries TO neurocards_app;
GRANT SELECT ON order_jobs, order_statuses, deliveries TO auditor;
