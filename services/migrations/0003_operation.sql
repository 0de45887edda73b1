-- What the services remember beside the log: messages to be sent, models that rest, how far it was verified.

-- What a chat is owed: one row per message to send once (deliveries), and one per order or payment whose
-- status message is edited as things move. Written by the notifier in the transaction that moves its cursor.
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
        CHECK (state IN ('queued', 'writing', 'waiting', 'rendering', 'retrying', 'done', 'failed', 'gifted')),
    style         text   NOT NULL DEFAULT '',
    format        text   NOT NULL DEFAULT '',
    seconds       bigint NOT NULL DEFAULT 0,
    position      bigint NOT NULL DEFAULT 0,         -- of the event that queued it: the order of the queue
    rendering_us  bigint NOT NULL DEFAULT 0,         -- since when it is rendered, epoch microseconds
    usual_s       float8 NOT NULL DEFAULT 0,         -- how long that usually takes, as known then; 0: it was not
    floor_percent bigint NOT NULL DEFAULT 0,         -- the bar begins there: what an earlier submission had come to
    stars         bigint NOT NULL DEFAULT 0          -- what the seller gave the video; 0: nothing yet
);
CREATE INDEX order_jobs_order ON order_jobs (order_id, number);
CREATE INDEX order_jobs_ahead ON order_jobs (position) WHERE state IN ('queued', 'writing', 'waiting');

-- What an order's message shows is in order_jobs; a payment's is read from the log, where it is from payment_links.
CREATE TABLE status_messages (
    subject    text        NOT NULL CHECK (subject IN ('order', 'payment')),
    name       text        NOT NULL,                 -- of the order or payment
    account    text        NOT NULL,
    wanted     bigint      NOT NULL DEFAULT 1,       -- version of what the message should show
    shown      bigint      NOT NULL DEFAULT 0,       -- version it shows, as far as we know
    abandoned  boolean     NOT NULL DEFAULT false,   -- it cannot be edited any more
    claims     bigint      NOT NULL DEFAULT 0,       -- fencing token: grows each time someone takes the row
    attempts   int         NOT NULL DEFAULT 0,       -- failed edits in a row
    due_at     timestamptz NOT NULL DEFAULT clock_timestamp(),  -- not to be taken before
    tick_at    timestamptz,                          -- when time alone changes what it shows; NULL: it does not
    last_error text,
    PRIMARY KEY (subject, name)
);
CREATE INDEX status_messages_due ON status_messages (subject, due_at)
    WHERE (wanted > shown OR tick_at IS NOT NULL) AND NOT abandoned;

CREATE TABLE deliveries (
    job           text        NOT NULL,
    kind          text        NOT NULL CHECK (kind IN (
        'video', 'failure', 'gift',
        'paid', 'paid_again',                        -- `job` is the payment
        'referral', 'referred',                      -- `job` is the invited account
        'grant',                                     -- `job` is the position
        'ending', 'left', 'works')),                 -- owed by no event: docs/decisions/reminders.md
    position      bigint      NOT NULL,              -- of the event that owes it, or 0; the order within an account
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
CREATE UNIQUE INDEX deliveries_of_event ON deliveries (position) WHERE position <> 0;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state IN ('pending', 'sending');
CREATE INDEX deliveries_old ON deliveries (owed_at);
CREATE INDEX deliveries_videos ON deliveries (account, position DESC) WHERE kind IN ('video', 'gift');
CREATE INDEX deliveries_turn ON deliveries (account, position) WHERE state IN ('pending', 'sending');

-- Which video models may be used just now. The truth for every process: Redis may be empty, this is not.
-- A model without a row is available. The rules are in services/generation/circuit_breaker/rules.py; times are epoch
-- microseconds of this database's clock, as in `events`.
CREATE TABLE model_circuits (
    model          text   NOT NULL PRIMARY KEY,
    state          text   NOT NULL DEFAULT 'available' CHECK (state IN ('available', 'paused', 'failing')),
    set_by         text   NOT NULL DEFAULT 'provider' CHECK (set_by IN ('provider', 'operator')),
    actor          text   NOT NULL DEFAULT '',       -- the operator
    reason         text   NOT NULL DEFAULT '',
    since_us       bigint NOT NULL DEFAULT 0,        -- of the state
    until_us       bigint,                           -- from then on a probe is let through; NULL: never
    failed         text[] NOT NULL DEFAULT '{}',     -- accounts whose submissions ended in the provider's trouble since
    openings       bigint NOT NULL DEFAULT 0,        -- pauses without a video in between: each is longer
    probe_job      text   NOT NULL DEFAULT '',       -- the job that was let through last
    probe_until_us bigint NOT NULL DEFAULT 0,        -- the next one not before
    CHECK (set_by = 'provider' OR state <> 'failing'),
    CHECK (state = 'available' OR set_by = 'operator' OR until_us IS NOT NULL)
);

-- Every change of a state, for good: who, why, when.
CREATE TABLE model_changes (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model      text   NOT NULL,
    state      text   NOT NULL,
    set_by     text   NOT NULL,
    actor      text   NOT NULL,
    reason     text   NOT NULL,
    until_us   bigint,
    changed_us bigint NOT NULL
);
CREATE TRIGGER model_changes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON model_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- When the log was verified last, and what was found, for who looks at it: one row. Maintenance believes its own memory.
CREATE TABLE verification (
    one         boolean     NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    ended_at    timestamptz,
    problems    jsonb       NOT NULL DEFAULT '{}'     -- kind → how many, since it was verified from its start
);
INSERT INTO verification DEFAULT VALUES;

-- Where each signed note went, and when: one row per note and place.
CREATE TABLE note_deliveries (
    number     bigint      NOT NULL,                 -- of the note in `checkpoints`
    place      text        NOT NULL,                 -- `chat -100123`, `mail olga@example.org`: not for auditors
    kind       text        NOT NULL GENERATED ALWAYS AS (split_part(place, ' ', 1)) STORED,
    attempts   int         NOT NULL DEFAULT 1,       -- sends begun
    owed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at     timestamptz NOT NULL,                 -- next attempt, unless it was sent
    sent_at    timestamptz,
    last_error text        NOT NULL DEFAULT '',
    PRIMARY KEY (number, place)
);
CREATE INDEX note_deliveries_place ON note_deliveries (place, number);

-- What the owner's chat is told: one row per cause. A message is due while what is so now is not what the chat was told.
CREATE TABLE owner_alerts (
    cause      text        NOT NULL PRIMARY KEY,      -- as in services/maintenance/owner_alerts.toml
    present    boolean     NOT NULL,                  -- it is so now
    told       boolean     NOT NULL DEFAULT false,    -- the chat believes so
    detail     text        NOT NULL,                  -- when it began
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts   int         NOT NULL DEFAULT 0,        -- sends begun since one was taken
    due_at     timestamptz NOT NULL DEFAULT clock_timestamp(),  -- the next send not before
    last_error text        NOT NULL DEFAULT ''
);

GRANT SELECT, INSERT, UPDATE, DELETE ON order_jobs, status_messages, deliveries TO neurocards_app;
GRANT SELECT, INSERT, UPDATE ON model_circuits TO neurocards_app;
GRANT SELECT, INSERT ON model_changes TO neurocards_app;
GRANT SELECT ON note_deliveries TO neurocards_maintenance, neurocards_operator;
GRANT INSERT, UPDATE ON note_deliveries, owner_alerts TO neurocards_maintenance;
GRANT UPDATE ON verification TO neurocards_maintenance;
GRANT SELECT ON order_jobs, status_messages, deliveries TO neurocards_reader;
GRANT SELECT ON model_circuits, model_changes, verification, owner_alerts TO neurocards_reader;
GRANT SELECT (number, kind, attempts, owed_at, due_at, sent_at, last_error) ON note_deliveries TO neurocards_reader;
