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
    position      bigint NOT NULL DEFAULT 0,         -- of the event that queued it
    turn          bigint NOT NULL DEFAULT 0,         -- with it the order of the queue, which is fair between sellers
    rendering_us  bigint NOT NULL DEFAULT 0,         -- since when it is rendered, epoch microseconds
    usual_s       float8 NOT NULL DEFAULT 0,         -- how long that usually takes, as known then; 0: it was not
    floor_percent bigint NOT NULL DEFAULT 0,         -- the bar begins there: what an earlier submission had come to
    stars         bigint NOT NULL DEFAULT 0          -- what the seller gave the video; 0: nothing yet
);
CREATE INDEX order_jobs_order ON order_jobs (order_id, number);
CREATE INDEX order_jobs_ahead ON order_jobs (turn, position) WHERE state IN ('queued', 'writing', 'waiting');

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

-- When the log was verified, and what was found, for who looks at it. Maintenance believes its own memory.
CREATE TABLE verification_runs (
    number      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ended_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    whole       boolean     NOT NULL,                 -- from its start, or what was new
    events      bigint      NOT NULL,                 -- gone through
    position    bigint      NOT NULL,                 -- up to there
    found       bigint      NOT NULL,
    report      json        NOT NULL,                 -- the first findings: kind, position, message
    problems    jsonb       NOT NULL                  -- kind → how many, since it was verified from its start
);
CREATE INDEX verification_runs_ended ON verification_runs (ended_at);
CREATE INDEX verification_runs_found ON verification_runs (number) WHERE found > 0;

-- Backups that were taken, read through, and restored on trial, for who looks at it.
CREATE TABLE backup_runs (
    number      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ended_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind        text        NOT NULL CHECK (kind IN ('backup', 'check', 'drill')),
    backup      text        NOT NULL,
    position    bigint      NOT NULL,                 -- all up to there is in it, or was restored
    size_bytes  bigint      NOT NULL,                 -- of the database
    files       bigint      NOT NULL,
    seconds     float8      NOT NULL,
    restore_s   float8,                               -- until Postgres answered on the restored: RTO
    lost_events bigint,                               -- that a loss of the machine at its beginning had taken
    lost_s      float8,                               -- since when they were there: RPO
    problems    text[]      NOT NULL,
    CHECK (cardinality(problems) <= 20 AND octet_length(array_to_string(problems, '')) <= 100000 AND length(backup) <= 100),
    CHECK (seconds < 'infinity' AND coalesce(restore_s, 0) < 'infinity' AND coalesce(lost_s, 0) < 'infinity')
);
CREATE INDEX backup_runs_ended ON backup_runs (ended_at);

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

-- What people asked of the dashboard that lasts, or takes rights it has not: frozen plans (docs/decisions/operations.md).
CREATE TABLE operations (
    operation    text        NOT NULL PRIMARY KEY CHECK (operation ~ '^[A-Za-z0-9_-]{8,64}$'),
    what         text        NOT NULL
        CHECK (what IN ('requeue', 'drop', 'cancel', 'fail', 'forget', 'pause', 'resume', 'rebuild')),
    targets      text[]      NOT NULL,               -- jobs; or one account, model or read model
    argument     text        NOT NULL,               -- of `fail` the class of the error, of `requeue` another model
    credits      bigint      NOT NULL,               -- that come back or are worth it, as the page said
    actor        text        NOT NULL CHECK (actor ~ '^user:[A-Za-z0-9_.-]{1,63}$'),
    reason       text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    state        text        NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'running', 'done', 'aborted')),
    aborted_by   text        NOT NULL DEFAULT '',    -- the user who wants it to end
    done         int         NOT NULL DEFAULT 0,     -- targets gone through, in their order
    refused      jsonb       NOT NULL DEFAULT '[]',  -- of these: [target, why]
    told         text        NOT NULL DEFAULT '',    -- how far one that lasts has come, or what came of it
    claims       bigint      NOT NULL DEFAULT 0,     -- fencing token
    taken_until  timestamptz NOT NULL DEFAULT '-infinity',
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz CHECK ((ended_at IS NULL) = (state IN ('requested', 'running')))
);
CREATE INDEX operations_open ON operations (requested_at) WHERE ended_at IS NULL;
CREATE INDEX operations_newest ON operations (requested_at);
CREATE INDEX operations_ended ON operations (ended_at) WHERE ended_at IS NOT NULL;

-- Asks for an operation, once by its name; false: it is known already. What one login may ask for has bounds, whoever holds it.
CREATE FUNCTION ledger.request_operation(p_operation text, p_what text, p_targets text[], p_argument text, p_credits bigint,
                                         p_actor text, p_reason text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    size constant int := coalesce(cardinality(p_targets), 0);
    known public.operations;
    waiting bigint;
    day_targets bigint;
    day_erased bigint;
BEGIN
    LOCK TABLE public.operations IN SHARE UPDATE EXCLUSIVE MODE;  -- so that two are counted one after the other
    SELECT * INTO known FROM public.operations o WHERE o.operation = p_operation;
    IF FOUND THEN
        IF (known.what, known.targets, known.argument, known.actor, known.reason)
           IS DISTINCT FROM (p_what, p_targets, p_argument, p_actor, p_reason) THEN
            RAISE EXCEPTION 'this was asked for before, otherwise: look what became of it, and ask anew' USING ERRCODE = 'unique_violation';
        END IF;
        RETURN false;
    END IF;
    SELECT count(*) FILTER (WHERE o.ended_at IS NULL),
           coalesce(sum(cardinality(o.targets)) FILTER (WHERE o.requested_at > clock_timestamp() - interval '1 day'), 0),
           count(*) FILTER (WHERE o.what = 'forget' AND o.requested_at > clock_timestamp() - interval '1 day')
    INTO waiting, day_targets, day_erased
    FROM public.operations o WHERE o.ended_at IS NULL OR o.requested_at > clock_timestamp() - interval '1 day';
    IF size NOT BETWEEN 1 AND (CASE WHEN p_what IN ('requeue', 'drop', 'cancel', 'fail') THEN 500 ELSE 1 END)
       OR size <> (SELECT count(DISTINCT t) FROM unnest(p_targets) AS t WHERE length(t) BETWEEN 1 AND 190) THEN
        RAISE EXCEPTION 'an operation has 1 to 500 different jobs, or one other target, not %', size USING ERRCODE = 'check_violation';
    ELSIF waiting >= 20 OR day_targets + size > 5000 OR p_what = 'forget' AND day_erased >= 20 THEN
        RAISE EXCEPTION '% operations wait, and % targets were asked for in 24 hours, % people to be erased: at most 20, 5,000, 20; '
            '`neurocards` has no such bound', waiting, day_targets, day_erased USING ERRCODE = 'configuration_limit_exceeded';
    END IF;
    INSERT INTO public.operations (operation, what, targets, argument, credits, actor, reason)
    VALUES (p_operation, p_what, p_targets, p_argument, p_credits, p_actor, p_reason);
    RETURN true;
END $$;

-- Asks that it ends before its next target; it ends now where nobody has it. False: it has ended, or somebody asked before.
CREATE FUNCTION ledger.abort_operation(p_operation text, p_actor text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.operations o
    SET aborted_by = p_actor, state = CASE WHEN o.taken_until < clock_timestamp() THEN 'aborted' ELSE o.state END,
        ended_at = CASE WHEN o.taken_until < clock_timestamp() THEN clock_timestamp() END
    WHERE o.operation = p_operation AND o.ended_at IS NULL AND o.aborted_by = '' AND p_actor ~ '^user:[A-Za-z0-9_.-]{1,63}$';
    RETURN FOUND;
END $$;
GRANT SELECT, INSERT, UPDATE ON operations TO neurocards_log;
ALTER FUNCTION ledger.request_operation OWNER TO neurocards_log;
ALTER FUNCTION ledger.abort_operation OWNER TO neurocards_log;
REVOKE ALL ON FUNCTION ledger.request_operation, ledger.abort_operation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.request_operation, ledger.abort_operation TO neurocards_dashboard, neurocards_operator;
GRANT UPDATE ON operations TO neurocards_maintenance, neurocards_bot, neurocards_operator;
GRANT DELETE ON operations TO neurocards_maintenance;
GRANT SELECT ON operations TO neurocards_reader;

GRANT SELECT, INSERT, UPDATE, DELETE ON order_jobs, status_messages, deliveries TO neurocards_app;
GRANT SELECT, INSERT, UPDATE ON model_circuits TO neurocards_app;
GRANT SELECT, INSERT ON model_changes TO neurocards_app;
GRANT SELECT ON note_deliveries TO neurocards_maintenance, neurocards_operator;
GRANT INSERT, UPDATE ON note_deliveries, owner_alerts TO neurocards_maintenance;
GRANT SELECT, INSERT, DELETE ON verification_runs TO neurocards_maintenance;
GRANT SELECT, DELETE ON backup_runs TO neurocards_maintenance;
GRANT INSERT (kind, backup, position, size_bytes, files, seconds, restore_s, lost_events, lost_s, problems)
    ON backup_runs TO neurocards_maintenance, neurocards_operator;
GRANT SELECT ON order_jobs, status_messages, deliveries TO neurocards_reader;
GRANT SELECT ON model_circuits, model_changes, verification_runs, backup_runs, owner_alerts TO neurocards_reader;
GRANT SELECT (number, kind, attempts, owed_at, due_at, sent_at, last_error) ON note_deliveries TO neurocards_reader;
