-- The log: every event, in one order, in one hash chain. Append-only by privilege and by trigger.

-- Roles belong to the whole cluster, so another database may have made them already, even at this moment.
-- neurocards_log: owns the log and the functions that append; nobody logs in as it.
-- neurocards_reader: reads the log and what follows from it. neurocards_app: also what is changeable and erasable.
-- One login for each service; without a password nobody gets in. The dashboard's only reads and calls functions.
DO $$
DECLARE
    groups constant text[] := ARRAY['neurocards_log', 'neurocards_reader', 'neurocards_app'];
    appending constant text[] := ARRAY['neurocards_web', 'neurocards_bot', 'neurocards_worker', 'neurocards_monitor',
                                       'neurocards_maintenance', 'neurocards_dashboard', 'neurocards_operator'];
    role_name text;
    setting text;
BEGIN
    FOREACH role_name IN ARRAY groups || appending
                               || ARRAY['neurocards_relay', 'neurocards_projector', 'neurocards_notifier'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
                EXECUTE format('CREATE ROLE %I %s', role_name, CASE WHEN role_name = ANY (groups) THEN 'NOLOGIN' ELSE 'LOGIN' END);
                EXECUTE format('COMMENT ON ROLE %I IS %L', role_name, 'since ' || current_date);  -- Postgres keeps no date
            END IF;
            IF role_name = ANY (groups) AND NOT pg_has_role(current_user, role_name, 'SET') THEN
                EXECUTE format('GRANT %I TO %I', role_name, current_user);
            END IF;
            IF role_name IN ('neurocards_app', 'neurocards_dashboard') THEN
                EXECUTE format('GRANT neurocards_reader TO %I', role_name);
            ELSIF role_name <> ALL (groups) THEN
                EXECUTE format('GRANT neurocards_app TO %I', role_name);
            END IF;
            -- For the connections that append. Set here, as a pooler drops what a client asks for when it connects.
            IF role_name = ANY (appending) AND (SELECT rolconfig IS NULL FROM pg_roles WHERE rolname = role_name) THEN
                FOREACH setting IN ARRAY ARRAY[
                    'lock_timeout = ''4s''', 'statement_timeout = ''4s''', 'transaction_timeout = ''5s''',
                    'idle_in_transaction_session_timeout = ''3s''', 'tcp_user_timeout = ''3s''',
                    'synchronous_commit = on'] LOOP
                    EXECUTE format('ALTER ROLE %I SET %s', role_name, setting);
                END LOOP;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation OR internal_error THEN
            NULL;  -- another migration was faster
        END;
    END LOOP;
END $$;

CREATE TABLE events (
    position       bigint NOT NULL PRIMARY KEY CHECK (position > 0),
    stream         text   NOT NULL,
    version        bigint NOT NULL,
    type           text   NOT NULL,
    data           json   NOT NULL,
    key            text,             -- on the first event of a command
    body_hash      bytea,
    command_events bigint,
    writer         text,             -- the login that appended the command
    recorded_at_us bigint NOT NULL,  -- epoch microseconds, the database's clock
    hash           bytea  NOT NULL,
    CONSTRAINT events_stream_version UNIQUE (stream, version),
    -- One expression, as each costs every row. What `json` lets through and `->>` then fails on is all written with \u
    -- (NUL and lone surrogates), so only data with a backslash, which is found sooner, has to prove that jsonb takes it.
    CONSTRAINT events_whole CHECK (
        version > 0 AND length(stream) BETWEEN 1 AND 200 AND length(hash) = 32
        AND num_nulls(key, body_hash, command_events, writer) IN (0, 4)
        AND (key IS NULL OR (length(body_hash) = 32 AND command_events > 0))
        -- With events_stream_version: a job is queued, a payment ordered and a code made once.
        AND (version = 1 OR type NOT IN ('JobQueued', 'PaymentOrdered', 'PromoCreated'))
        AND (strpos(data::text, '\') = 0 OR data::jsonb IS NOT NULL))
);

COMMENT ON TABLE events IS 'Immutable. position is dense and in commit order; hash covers the previous hash and every other column.';

-- Each index costs every append: what it is for stands above it. Half of the events carry no key and need no entry.
-- One receipt per key, looked up under the lock: `used_keys`, `receipt_of`.
CREATE UNIQUE INDEX events_key ON events (key) WHERE key IS NOT NULL;

-- The last guard, should deciders and functions ever be wrong; most are read by as well.
-- One charge per job: `positions_of`, `explain_jobs`, `histories`.
CREATE UNIQUE INDEX events_one_charge_per_job ON events ((data ->> 'job')) WHERE type = 'CreditsCharged';
-- One refund per job: the same.
CREATE UNIQUE INDEX events_one_refund_per_job ON events ((data ->> 'job')) WHERE type = 'CreditsRefunded';
-- One end per job: `open_jobs_wrong`, ledger.rebuild_open_jobs.
CREATE UNIQUE INDEX events_one_end_per_job ON events (stream) WHERE type IN ('JobSucceeded', 'JobFailed');
-- One gift per job: `deliveries_lost`.
CREATE UNIQUE INDEX events_one_gift_per_job ON events (stream) WHERE type = 'VideoGifted';
-- What money came is credited once: `payment_of`.
CREATE UNIQUE INDEX events_one_success_per_payment
    ON events ((data ->> 'provider_payment'), (data ->> 'provider')) WHERE type = 'PaymentSucceeded';
-- What money went back is taken once: `refund_known`.
CREATE UNIQUE INDEX events_one_refunded_per_refund
    ON events ((data ->> 'provider_refund')) WHERE type = 'PaymentRefunded';
-- A code is used once per account: `promo_codes`, `gifts`.
CREATE UNIQUE INDEX events_one_use_per_account
    ON events (stream, (data ->> 'account')) WHERE type = 'PromoRedeemed';
-- An invitation is rewarded once: `invitations_bought`, `gifts`.
CREATE UNIQUE INDEX events_one_reward_per_invited ON events (stream) WHERE type = 'InvitationRewarded';

-- All payments and codes, where no stream is known: `rewatch_payments`, `rewatch_refunds`, `promo_codes`, audit.payments.
CREATE INDEX events_payments_and_codes ON events (type, position) WHERE type IN ('PaymentOrdered', 'PromoCreated');
-- Invited accounts that may be due their bonus: `invitations_bought`, `invitations_made_video`, `gifts`.
CREATE INDEX events_invited ON events (position)
    WHERE type = 'AccountOpened' AND (data ->> 'invited_by') <> '';
-- What codes, invitations and corrections of the clock gave: `gifts`, `wrong_corrections`.
CREATE INDEX events_gifts ON events ((data ->> 'reference'), position)
    WHERE type = 'CreditsGranted' AND (data ->> 'kind') IN ('promo', 'referral', 'correction');
-- What people did: `journal_filter`. The types are those whose events have an actor.
CREATE INDEX events_actor ON events ((data ->> 'actor'), position)
    WHERE type IN ('AccountForgotten', 'ChangeApproved', 'ChangeProposed', 'ChangeWithdrawn', 'ClockCorrected', 'CreditsGranted',
                   'CreditsRevoked', 'DeadLetterDropped', 'JobFailed', 'JobRequeued', 'KeyRotated', 'PromoCreated', 'PromoDisabled',
                   'RefundIntended', 'SalesPaused', 'SalesResumed')
      AND (data ->> 'actor') <> '';
-- What logins appended that are no process's: `journal_filter`, `logins`.
CREATE INDEX events_writer ON events (writer, position)
    WHERE writer NOT IN ('neurocards_web', 'neurocards_bot', 'neurocards_worker', 'neurocards_monitor',
                         'neurocards_maintenance');
-- What is seldom and is asked for by its type: `exceptions`, `journal`, `open_proposals`.
CREATE INDEX events_seldom ON events (type, position)
    WHERE type IN ('ChangeApproved', 'ChangeProposed', 'CreditsGranted', 'CreditsRevoked', 'PaymentFlagged', 'VideoGifted');
-- Long accounts, of which snapshots are kept: `snapshots_due`.
CREATE INDEX events_thousandth ON events (stream) WHERE version % 1000 = 0;

CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- What is being worked on. Written in the append transaction, so that neither the monitor nor the relay's
-- recovery depends on a projection.
CREATE TABLE open_jobs (
    job            text   NOT NULL PRIMARY KEY,
    account        text   NOT NULL,
    position       bigint NOT NULL,  -- of its JobQueued
    deadline_at_us bigint NOT NULL
);
CREATE INDEX open_jobs_deadline ON open_jobs (deadline_at_us);

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

-- Signed statements about the log (docs/ledger.md), and the cache they are made with.

-- Each row is one signed note. The auditor keeps copies elsewhere: what stands only here proves nothing against
-- someone who can rewrite this database.
CREATE TABLE checkpoints (
    number   bigint NOT NULL PRIMARY KEY CHECK (number > 0), -- 1, 2, 3, …
    kind     text   NOT NULL CHECK (kind IN ('checkpoint', 'restored')),
    position bigint NOT NULL CHECK (position >= 0),         -- the last that it covers,
    hash     bytea  NOT NULL CHECK (length(hash) = 32),     -- and the hash there
    note     text   NOT NULL CHECK (length(note) <= 100000) -- the whole signed text
);
CREATE INDEX checkpoints_position ON checkpoints (position);
CREATE TRIGGER checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
COMMENT ON TABLE checkpoints IS 'Immutable. Signed notes: "the log had this head", "the log was restored to here".';

-- What witnesses add to a note, which itself stays as it was signed: the log states its hash.
CREATE TABLE cosignatures (
    number  bigint NOT NULL CHECK (number > 0),              -- of the note in `checkpoints`
    witness text   NOT NULL CHECK (length(witness) <= 300),  -- its key,
    line    text   NOT NULL CHECK (line ~ '^— [^[:space:]+]+ [A-Za-z0-9+/]{102}==\n$'),  -- its signature, with a time
    PRIMARY KEY (number, witness)
);
CREATE TRIGGER cosignatures_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON cosignatures
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- Roots of whole subtrees of the Merkle tree over the log: at level k, of 2^(8k) events each. A cache: it is
-- checked against the last signed root whenever it is used, and may be emptied at any time.
CREATE TABLE tree_tiles (
    level int    NOT NULL CHECK (level > 0),
    index bigint NOT NULL CHECK (index >= 0),               -- covers the positions after index * 2^(8 * level)
    hash  bytea  NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, index)
);

-- The chain, checkable in plain SQL: audit.chain_breaks is empty when every hash follows from the one before.

CREATE SCHEMA audit;

-- What an event's hash covers beside the hash before it: every other column, lengths first, so that no two rows give the same
-- bytes. The tail is what can be known before an event has its place.
CREATE FUNCTION audit.event_tail(stream text, type text, data text, key text, body_hash bytea, command_events bigint, writer text)
    RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
    RETURN int8send(coalesce(command_events, -1))
        || int4send(octet_length(stream)) || int4send(octet_length(type)) || int4send(octet_length(data))
        || int4send(coalesce(octet_length(key), -1)) || int4send(coalesce(octet_length(body_hash), -1))
        || int4send(coalesce(octet_length(writer), -1))
        || convert_to(stream || type || data || coalesce(key, '') || coalesce(writer, ''), 'UTF8')
        || coalesce(body_hash, '');

CREATE FUNCTION audit.event_bytes("position" bigint, stream text, version bigint, type text, data text,
                                  recorded_at_us bigint, key text, body_hash bytea, command_events bigint, writer text)
    RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
    RETURN int8send("position") || int8send(version) || int8send(recorded_at_us)
        || audit.event_tail(stream, type, data, key, body_hash, command_events, writer);

CREATE FUNCTION audit.event_hash(previous bytea, event public.events) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN sha256(previous || audit.event_bytes(
        (event).position, (event).stream, (event).version, (event).type, (event).data::text, (event).recorded_at_us,
        (event).key, (event).body_hash, (event).command_events, (event).writer));

CREATE VIEW audit.chain_breaks AS
SELECT position, stream, type, expected_position, stored_hash, computed_hash
FROM (
    SELECT e.position, e.stream, e.type, e.hash AS stored_hash,
           row_number() OVER w AS expected_position,
           audit.event_hash(coalesce(lag(e.hash) OVER w, decode(repeat('00', 32), 'hex')), e) AS computed_hash
    FROM public.events e
    WINDOW w AS (ORDER BY e.position)
) AS checked
WHERE stored_hash <> computed_hash OR position <> expected_position;

CREATE VIEW audit.events AS
SELECT position, stream, version, type, data, key,
       timestamptz 'epoch' + recorded_at_us * interval '1 microsecond' AS recorded_at, hash
FROM public.events;

GRANT CREATE ON SCHEMA public TO neurocards_log;  -- an owner needs it for a moment, unless a superuser names him
ALTER TABLE events OWNER TO neurocards_log;
ALTER TABLE open_jobs OWNER TO neurocards_log;
ALTER TABLE checkpoints OWNER TO neurocards_log;
ALTER TABLE cosignatures OWNER TO neurocards_log;
ALTER TABLE snapshots OWNER TO neurocards_log;
REVOKE CREATE ON SCHEMA public FROM neurocards_log;
GRANT USAGE ON SCHEMA public, audit TO neurocards_reader, neurocards_log;

-- Nobody but our logins connects. A login that only reads stops every append of the cluster with some thousands of advisory
-- locks; releasing them stays free, as asyncpg does that whenever a connection goes back to its pool. Who may not revoke gets a
-- warning, and `neurocards doctor` says what is missing.
DO $$
DECLARE
    one record;
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO neurocards_reader', current_database());
    EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    FOR one IN
        SELECT p.oid::regprocedure AS name, p.proname ~ 'advisory' AS locks FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
          AND (p.proname ~ '^pg_(try_)?advisory_(xact_)?lock' OR p.proname ~ '^(lo_|loread$|lowrite$)')
    LOOP
        BEGIN
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', one.name);
            IF one.locks THEN  -- the bot's turn; checkpoints and recoveries; migrations and rebuilds
                EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO neurocards_bot, neurocards_maintenance, neurocards_operator, '
                               'pg_database_owner', one.name);
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;  -- no superuser, and no right to it at all
        END;
    END LOOP;
END $$;
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO neurocards_reader;
GRANT SELECT ON schema_migrations, events, open_jobs, checkpoints, cosignatures, tree_tiles, snapshots TO neurocards_reader;
-- A state that a service could write would be a balance that it could write.
GRANT INSERT, UPDATE ON snapshots TO neurocards_maintenance, neurocards_operator;
GRANT INSERT ON checkpoints TO neurocards_maintenance, neurocards_operator;
GRANT INSERT ON cosignatures TO neurocards_operator;
GRANT INSERT, DELETE ON tree_tiles TO neurocards_maintenance, neurocards_operator;
