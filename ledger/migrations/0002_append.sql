-- How events come into the log: through ledger.append and nothing else. docs/decisions/log-door.md says why.
--
-- Plans are made once, maybe while the log is empty, when reading all of it seems to cost nothing. So nothing that an append
-- calls joins `events`: rows are looked up in a subselect, or in a LATERAL one with OFFSET, which the planner leaves alone.

CREATE SCHEMA ledger AUTHORIZATION neurocards_log;
GRANT USAGE ON SCHEMA ledger TO neurocards_reader;

-- Locked to append; granted to nobody, so that no other login can lock it. Always empty.
CREATE TABLE ledger.append_lock () WITH (autovacuum_enabled = off);

-- Who may append what, into streams of which kind. `kind` as ledger.kind_of has it. `waits`: not while the clock that stamps
-- is behind, as it gives or takes something new. docs/security.md has it as a table of logins.
CREATE TABLE ledger.event_rights (
    type   text    NOT NULL,
    kind   text    NOT NULL,
    stream text    NOT NULL,
    waits  boolean NOT NULL,
    roles  name[]  NOT NULL,
    PRIMARY KEY (type, kind)
);
GRANT SELECT ON ledger.event_rights TO neurocards_reader;

-- What time it is by outside companies, as a login heard it, beside the database's clock then; an operator tells that this one
-- is right. Good for `for_us`.
CREATE TABLE ledger.witnesses (
    login      name   PRIMARY KEY,
    clock_us   bigint NOT NULL,
    witness_us bigint NOT NULL,
    for_us     bigint NOT NULL
);

-- Batches that were not decided within the five seconds before their stamp, and what the clocks said. `verify` judges them by it.
CREATE TABLE ledger.decision_times (
    first      bigint PRIMARY KEY,
    last       bigint NOT NULL,
    decided_us bigint NOT NULL,
    clock_us   bigint NOT NULL,
    wall_us    bigint,
    witness_us bigint
);
GRANT SELECT ON ledger.witnesses, ledger.decision_times TO neurocards_reader;

-- How many credits a login may give and take by hand on one day, UTC (days since 1970-01-01), and how many it did. Whoever steals it can
-- name any user; they cannot move more. The database's owner changes it: docs/decisions/operations.md.
CREATE TABLE ledger.day_limits (
    login   name   PRIMARY KEY,
    credits bigint NOT NULL,
    day     bigint NOT NULL DEFAULT 0,
    moved   bigint NOT NULL DEFAULT 0
);
INSERT INTO ledger.day_limits VALUES ('neurocards_dashboard', 100000);
GRANT SELECT ON ledger.day_limits TO neurocards_reader;

INSERT INTO ledger.event_rights (stream, type, kind, waits, roles)
SELECT r.stream || '-', r.type, r.kind, r.waits <> '',
       (SELECT array_agg('neurocards_' || l.login) FROM unnest(string_to_array(rtrim('operator ' || r.logins), ' ')) AS l (login))
FROM (VALUES
    ('account', 'AccountOpened',      '',         '',      'bot maintenance'),
    ('account', 'TermsAccepted',      '',         '',      'bot'),
    ('account', 'AccountForgotten',   '',         '',      'bot'),
    ('account', 'InvitationRewarded', '',         'waits', 'maintenance'),
    ('account', 'CreditsGranted',     'purchase', '',      'bot web maintenance'),
    ('account', 'CreditsGranted',     'bonus',    'waits', 'bot'),
    ('account', 'CreditsGranted',     'promo',    'waits', 'bot'),
    ('account', 'CreditsGranted',     'referral', 'waits', 'maintenance'),
    ('account', 'CreditsGranted',     'manual',   'waits', 'bot dashboard'),
    ('account', 'CreditsGranted',     'carried',  '',      'bot'),
    ('account', 'CreditsGranted',     'correction', 'waits', ''),
    ('account', 'CreditsCharged',     '',         'waits', 'bot'),
    ('account', 'CreditsRefunded',    '',         '',      'bot worker monitor maintenance'),
    ('account', 'CreditsRestored',    '',         '',      'maintenance'),
    ('account', 'CreditsRevoked',     'payment',  '',      'bot web maintenance'),
    ('account', 'CreditsRevoked',     'carried',  '',      'bot'),
    ('account', 'CreditsRevoked',     'manual',   '',      'dashboard'),
    ('account', 'CreditsRevoked',     'fraud',    '',      ''),
    ('account', 'CreditsExpired',     '',         '',      'bot web worker monitor maintenance dashboard'),
    ('account', 'ChangeProposed',     '',         '',      'dashboard'),
    ('account', 'ChangeApproved',     '',         'waits', 'dashboard'),
    ('account', 'ChangeWithdrawn',    '',         '',      'dashboard'),
    ('job',     'JobQueued',          '',         'waits', 'bot maintenance'),
    ('job',     'JobRequeued',        '',         'waits', 'maintenance'),
    ('job',     'JobReissued',        '',         '',      'maintenance'),
    ('job',     'JobStarted',         '',         '',      'worker'),
    ('job',     'PromptWritten',      '',         '',      'worker'),
    ('job',     'SubmissionIntended', '',         '',      'worker'),
    ('job',     'SubmissionAccepted', '',         '',      'worker web maintenance'),
    ('job',     'SubmissionFailed',   '',         '',      'worker'),
    ('job',     'RetryScheduled',     '',         '',      'worker'),
    ('job',     'JobHandedBack',      '',         '',      'worker'),
    ('job',     'JobSucceeded',       '',         '',      'worker maintenance'),
    ('job',     'VideoGifted',        '',         '',      'worker maintenance'),
    ('job',     'VideoRated',         '',         '',      'bot'),
    ('job',     'JobFailed',          'worker',   '',      'worker'),
    ('job',     'JobFailed',          'monitor',  '',      'monitor'),
    ('job',     'JobFailed',          'operator', '',      'bot maintenance'),
    ('job',     'DeadLetterDropped',  '',         '',      'maintenance'),
    ('payment', 'PaymentOrdered',     '',         'waits', 'bot'),
    ('payment', 'PaymentOrdered',     'restored', '',      'bot maintenance'),
    ('payment', 'PaymentCreated',     '',         '',      'bot web maintenance'),
    ('payment', 'PaymentSucceeded',   '',         '',      'bot web maintenance'),
    ('payment', 'PaymentFlagged',     '',         '',      'bot web maintenance'),
    ('payment', 'PaymentCancelled',   '',         '',      'bot web maintenance'),
    ('payment', 'PaymentExpired',     '',         '',      'bot maintenance'),
    ('payment', 'PaymentRefunded',    '',         '',      'bot web maintenance'),
    ('payment', 'RefundIntended',     '',         '',      ''),
    ('payment', 'RefundFailed',       '',         '',      'maintenance'),
    ('promo',   'PromoCreated',       '',         'waits', ''),
    ('promo',   'PromoDisabled',      '',         '',      ''),
    ('promo',   'PromoRedeemed',      '',         'waits', 'bot'),
    ('system',  'SystemStarted',      '',         '',      'bot web worker monitor maintenance dashboard'),
    ('system',  'SalesPaused',        '',         '',      'bot dashboard'),
    ('system',  'SalesResumed',       '',         '',      'bot dashboard'),
    ('system',  'DayCapChecked',      'cost',     '',      'maintenance'),
    ('system',  'DayCapChecked',      'welcome',  '',      'bot'),
    ('system',  'LogStated',          '',         '',      'maintenance'),
    ('system',  'KeyRotated',         '',         '',      '')
) AS r (stream, type, kind, waits, logins);

-- What tells apart events of one type that not everybody may append.
CREATE FUNCTION ledger.kind_of(type text, data text) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN CASE type
        WHEN 'CreditsGranted' THEN coalesce(data::json ->> 'kind', '?')
        WHEN 'CreditsRevoked' THEN coalesce(data::json ->> 'kind', 'manual')
        WHEN 'JobFailed' THEN coalesce(data::json ->> 'by', '?')
        WHEN 'DayCapChecked' THEN coalesce(data::json ->> 'cap', '?')
        WHEN 'PaymentOrdered' THEN CASE data::json ->> 'restored' WHEN 'true' THEN 'restored' ELSE '' END
        ELSE ''
    END;

-- The database's time, in epoch microseconds. A function of its own, so that tests can put another in its place.
CREATE FUNCTION ledger.clock() RETURNS bigint LANGUAGE sql VOLATILE
    RETURN (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint;

-- Which of three clocks is believed, and what is stamped: the database's, the caller's (NULL on the same machine) and a
-- witness from outside. `head_us` is the newest event's time, 0 for none. All in epoch microseconds. What is stamped is never
-- beyond the database's clock nor below the head. `later`: nothing new is given or taken. `gap`: after a day without events a
-- machine may have started with a wrong clock; it takes a witness.
CREATE FUNCTION ledger.judge_time(clock_us bigint, head_us bigint, wall_us bigint, witness_us bigint,
                                  OUT outcome text, OUT now_us bigint, OUT believed_us bigint)
    LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    near constant bigint := 60000000;
    patience bigint := 5000000;
BEGIN
    IF abs(clock_us - witness_us) <= near OR witness_us IS NULL AND (
           abs(clock_us - wall_us) <= near OR wall_us IS NULL) THEN
        believed_us := clock_us;
    ELSIF abs(wall_us - witness_us) <= near THEN
        believed_us := wall_us;
        patience := 2 * near + patience;  -- two callers' clocks may lie that far apart
    ELSIF abs(clock_us - wall_us) <= near THEN
        believed_us := least(clock_us, witness_us);  -- both may be one machine's: no time up to here does harm
        patience := 0;
    ELSE
        outcome := 'doubt';
        RETURN;
    END IF;
    now_us := greatest(least(clock_us, believed_us), head_us);
    outcome := CASE
        WHEN head_us > 0 AND now_us - head_us > 86400000000 AND (abs(now_us - witness_us) <= 300000000) IS DISTINCT FROM true THEN 'gap'
        WHEN patience = 0 OR clock_us < believed_us OR head_us > believed_us + patience THEN 'later'
        ELSE 'ok' END;
END $$;

-- What the clocks say. Tells others what outside companies say, p_witness_us, or takes from them which is nearest to the
-- database's clock; who has neither remembers, p_heard_us. By no clock but the database's is one too old.
CREATE FUNCTION ledger.clocks(p_wall_us bigint, p_witness_us bigint, p_heard_us bigint,
                              OUT outcome text, OUT clock_us bigint, OUT head_us bigint, OUT witness_us bigint, OUT told_us bigint,
                              OUT believed_us bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    verdict record;
BEGIN
    clock_us := ledger.clock();
    head_us := coalesce((SELECT e.recorded_at_us FROM public.events e ORDER BY e.position DESC LIMIT 1), 0);
    IF p_witness_us IS NOT NULL THEN
        INSERT INTO ledger.witnesses AS w VALUES (session_user, clocks.clock_us, p_witness_us, 90000000)
        ON CONFLICT (login) DO UPDATE SET clock_us = excluded.clock_us, witness_us = excluded.witness_us, for_us = excluded.for_us;
    END IF;
    told_us := (SELECT clocks.clock_us + w.witness_us - w.clock_us FROM ledger.witnesses w
                WHERE clocks.clock_us - w.clock_us BETWEEN 0 AND w.for_us ORDER BY abs(w.witness_us - w.clock_us) LIMIT 1);
    witness_us := coalesce(p_witness_us, told_us, p_heard_us);
    verdict := ledger.judge_time(clock_us, head_us, p_wall_us, witness_us);
    outcome := verdict.outcome;
    believed_us := verdict.believed_us;
END $$;

-- A person says that the database's clock is right: for ten minutes a witness to who has no other. `neurocards clock confirm`.
CREATE FUNCTION ledger.confirm_clock() RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO ledger.witnesses AS w SELECT session_user, c, c, 600000000 FROM ledger.clock() AS c
    ON CONFLICT (login) DO UPDATE SET clock_us = excluded.clock_us, witness_us = excluded.witness_us, for_us = excluded.for_us
    RETURNING w.clock_us
$$;

-- What the first step of every append does: refuse what cannot be durable, take the lock, then judge in new statements.
CREATE FUNCTION ledger.enter(p_cursors bigint[], p_cursor_hashes bytea[], p_wall_us bigint, p_witness_us bigint,
                             OUT outcome text, OUT "position" bigint, OUT hash bytea, OUT head_us bigint,
                             OUT clock_us bigint, OUT believed_us bigint)
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    verdict record;
BEGIN
    IF pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' THEN
        RAISE EXCEPTION 'this connection can only read' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append in READ COMMITTED: another isolation sees the log from before the lock'
            USING ERRCODE = 'feature_not_supported';
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);  -- a pooler may have kept another client's
    END IF;
    IF has_parameter_privilege(session_user, 'data_directory', 'ALTER SYSTEM') THEN  -- asks in a tenth of a query's time
        RAISE EXCEPTION 'a superuser cannot append: log in as one of the roles in ledger.event_rights'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    LOCK TABLE ledger.append_lock IN EXCLUSIVE MODE;
    SELECT e.position, e.hash, e.recorded_at_us INTO "position", hash, head_us
    FROM public.events e ORDER BY e.position DESC LIMIT 1;
    IF NOT FOUND THEN
        "position" := 0;
        hash := decode(repeat('00', 32), 'hex');
        head_us := 0;
    END IF;
    IF (p_cursors = ARRAY["position"] AND p_cursor_hashes = ARRAY[hash]) IS DISTINCT FROM true THEN
        IF EXISTS (
            SELECT FROM unnest(p_cursors, p_cursor_hashes) AS c (position, hash)
            WHERE c.hash IS DISTINCT FROM (SELECT e.hash FROM public.events e WHERE e.position = c.position)
        ) THEN
            outcome := 'back';
            RETURN;
        END IF;
    END IF;
    clock_us := ledger.clock();
    verdict := ledger.judge_time(clock_us, head_us, p_wall_us, p_witness_us);
    outcome := verdict.outcome;
    believed_us := verdict.believed_us;
END $$;

-- Receipts of keys that stand, and events that are newer than the versions known, 32 KiB in all: a server that waits for
-- a client to read more than the socket holds is ended by no timeout, and would keep the lock. `missing`: streams with more
-- than that, or with less than is known.
CREATE FUNCTION ledger.used_keys(p_keys text[]) RETURNS json LANGUAGE sql STABLE
    RETURN (SELECT json_agg(json_build_array(e.key, encode(e.body_hash, 'hex'), e.position, e.command_events, e.recorded_at_us))
            FROM public.events e WHERE e.key = ANY (p_keys));

CREATE FUNCTION ledger.fresh_events(p_streams text[], p_versions bigint[]) RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    room int := 32768;
    events json[] := '{}';
    missing text[] := '{}';
    found record;
    size int;
    rows json[];
BEGIN
    FOR found IN SELECT * FROM unnest(p_streams, p_versions) AS w (stream, version) LOOP
        SELECT coalesce(sum(octet_length(f.data) + octet_length(f.type) + octet_length(found.stream) + 40), 0),
               array_agg(json_build_array(found.stream, f.version, f.type, f.data) ORDER BY f.version)
        INTO size, rows
        FROM (SELECT e.version, e.type, e.data::text AS data FROM public.events e
              WHERE e.stream = found.stream AND e.version > found.version ORDER BY e.version LIMIT 200) AS f;
        IF rows IS NULL THEN
            IF found.version > 0 AND NOT EXISTS (
                SELECT FROM public.events e WHERE e.stream = found.stream AND e.version = found.version) THEN
                missing := missing || found.stream;
            END IF;
        ELSIF size > room OR cardinality(rows) = 200 THEN
            missing := missing || found.stream;
        ELSE
            room := room - size;
            events := events || rows;
        END IF;
    END LOOP;
    RETURN json_build_object('events', array_to_json(events), 'missing', to_json(missing));
END $$;

-- The sum of an event's parts, NULL where one is not above 0. An error where one is no whole number: by ->> a text would be one.
CREATE FUNCTION ledger.parts_of(data jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN CASE jsonb_array_length(data -> 'parts')
        WHEN 1 THEN nullif(greatest((data #> '{parts,0,amount}')::text::bigint, 0), 0)
        ELSE (SELECT CASE WHEN bool_and((p -> 'amount')::text::bigint > 0) IS DISTINCT FROM false
                          THEN coalesce(sum((p -> 'amount')::text::bigint), 0) END
              FROM jsonb_array_elements(coalesce(data -> 'parts', '[]')) AS p)
    END;

-- Other events about credits after a position that contradict themselves or lack what belongs to them in their command: a
-- refund its failure and the other way round, bought credits their payment, restored ones the refund that failed, revoked ones
-- the money that went back, gifts their cause. Commands begin where a key stands.
CREATE FUNCTION ledger.flawed_credits(p_after bigint) RETURNS TABLE ("position" bigint, type text) LANGUAGE sql STABLE
    BEGIN ATOMIC
        WITH added AS MATERIALIZED (
            SELECT e.position, e.stream, e.type, e.data, e.command,
                   CASE WHEN e.type IN ('CreditsGranted', 'CreditsRevoked') THEN ledger.kind_of(e.type, e.data::text) ELSE '' END AS kind,
                   (e.data ->> 'amount')::bigint AS amount, coalesce(e.data -> 'settled', '0') AS settled
            FROM (SELECT e.position, e.stream, e.type, e.data::jsonb AS data, count(e.key) OVER (ORDER BY e.position) AS command
                  FROM public.events e WHERE e.position > p_after OFFSET 0) AS e
            WHERE e.type <> ALL (ARRAY['CreditsCharged', 'JobQueued'])
        ), failed AS (  -- with what they cost
            SELECT f.command, substr(f.stream, 5) AS job, f.position, 'account-' || (j.data ->> 'account') AS stream,
                   (j.data ->> 'price')::bigint AS price
            FROM added f
            LEFT JOIN LATERAL (SELECT j.data FROM public.events j WHERE j.stream = f.stream AND j.version = 1 OFFSET 0) AS j ON true
            WHERE f.type = 'JobFailed'
        ), money AS (  -- came, or went, or did not go; with the account that had ordered
            SELECT s.command, s.type, s.data, (s.data -> 'credits')::text::bigint AS credits, 'account-' || (o.data ->> 'account') AS stream
            FROM added s
            LEFT JOIN LATERAL (SELECT o.data FROM public.events o WHERE o.stream = s.stream AND o.version = 1 OFFSET 0) AS o ON true
            WHERE s.type IN ('PaymentSucceeded', 'RefundFailed', 'PaymentRefunded', 'RefundIntended')
        )
        SELECT p.position, p.type FROM added p
        WHERE starts_with(p.type, 'Credits') AND (
              (p.data -> 'amount')::text ~ '^[1-9][0-9]{0,8}$' AND p.settled::text ~ '^[0-9]{1,9}$' AND CASE p.type
                  WHEN 'CreditsRefunded' THEN ledger.parts_of(p.data) + p.settled::bigint = p.amount
                  WHEN 'CreditsRestored' THEN ledger.parts_of(p.data) + p.settled::bigint = p.amount
                  WHEN 'CreditsRevoked' THEN ledger.parts_of(p.data) <= p.amount
                  ELSE p.settled::bigint <= p.amount AND (p.kind <> 'carried' OR p.settled::bigint = p.amount) END) IS DISTINCT FROM true
        UNION ALL
        SELECT coalesce(r.position, f.position), coalesce(r.type, 'JobFailed')
        FROM (SELECT a.*, a.data ->> 'job' AS job FROM added a WHERE a.type = 'CreditsRefunded') AS r
        FULL JOIN (SELECT * FROM failed WHERE failed.price <> 0) AS f ON f.command = r.command AND f.job = r.job
        WHERE (f.stream, f.price) IS DISTINCT FROM (r.stream, r.amount)
        UNION ALL
        SELECT g.position, g.type FROM added g
        LEFT JOIN money m ON m.command = g.command AND m.stream = g.stream AND m.credits = g.amount AND CASE g.type
            WHEN 'CreditsGranted' THEN m.type = 'PaymentSucceeded'
            WHEN 'CreditsRestored' THEN m.type = 'RefundFailed' AND m.data ->> 'refund' = g.data ->> 'reference'
            ELSE m.type IN ('PaymentRefunded', 'RefundIntended') END
        WHERE g.type || g.kind IN ('CreditsGrantedpurchase', 'CreditsRestored', 'CreditsRevokedpayment')
          AND m.command IS NULL
        UNION ALL
        SELECT g.position, g.type FROM added g
        LEFT JOIN added c ON c.command = g.command AND c.type = CASE g.kind
            WHEN 'promo' THEN 'PromoRedeemed' WHEN 'referral' THEN 'InvitationRewarded' ELSE 'TermsAccepted' END
        WHERE g.type = 'CreditsGranted' AND g.kind IN ('promo', 'referral', 'bonus') AND c.command IS NULL;
    END;

-- Counts what a login of ledger.day_limits gave and took after a position; an error above its limit, or where no user did it.
CREATE FUNCTION ledger.require_within_day(p_after bigint) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    today constant bigint := ledger.clock() / 86400000000;
    refused bigint;
BEGIN
    UPDATE ledger.day_limits l SET day = today, moved = CASE l.day WHEN today THEN l.moved ELSE 0 END + e.amount
    FROM (SELECT sum((e.data ->> 'amount')::bigint) AS amount,
                 bool_and(e.data ->> 'actor' LIKE 'user:%') IS DISTINCT FROM true AS nobody
          FROM public.events e
          WHERE e.position > p_after AND e.type IN ('CreditsGranted', 'CreditsRevoked')) AS e
    WHERE l.login = session_user AND e.amount > 0
    RETURNING CASE WHEN nobody THEN 0 WHEN l.moved > l.credits THEN l.credits END INTO refused;
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION '% moves at most % credits a day by hand, each in a user''s name', session_user, refused
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

-- The slow way for who would starve otherwise: takes the lock inside a transaction, tells what is new, and lets the caller
-- decide on that. `append` follows in the same transaction.
-- p_keys of the commands; p_streams and p_versions: what is cached of the streams they read, joined by U+001F.
CREATE FUNCTION ledger.begin_append(p_cursors bigint[], p_cursor_hashes bytea[], p_wall_us bigint, p_witness_us bigint,
                                    p_keys text, p_streams text, p_versions text,
                                    OUT outcome text, OUT "position" bigint, OUT hash bytea, OUT believed_us bigint, OUT detail json)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    head record;
BEGIN
    head := ledger.enter(p_cursors, p_cursor_hashes, p_wall_us, p_witness_us);
    outcome := CASE WHEN head.outcome = 'later' THEN 'ok' ELSE head.outcome END;  -- `append` knows what waits
    "position" := head.position;
    hash := head.hash;
    believed_us := head.believed_us;
    IF outcome <> 'ok' THEN RETURN; END IF;
    detail := json_build_object(
        'keys', ledger.used_keys(string_to_array(p_keys, U&'\001F')),
        'fresh', ledger.fresh_events(string_to_array(p_streams, U&'\001F'),
                                     string_to_array(p_versions, U&'\001F')::bigint[]));
END $$;

-- Appends a batch of decided commands in one call, or says why not and writes nothing.
--
-- p_cursors, p_cursor_hashes: the last events the caller has seen, which the log must hold. p_now_us: the time it decided at,
-- by the clock that is believed; p_wall_us, p_witness_us: see judge_time.
-- p_streams, p_versions: every stream that was read or is written, once, and its newest version as it was then, 0 for none.
-- p_keys, p_bodies (32 bytes each), p_counts: the commands in order, with how many events each has, also none.
-- p_places, p_types, p_data: their events; the place of each one's stream in p_streams, from 1. Each column of text is one
-- text joined by U+001F, which JSON escapes and names never hold.
--
-- To make a query ready costs as much as ten rows: rows are gone through in loops without one.
CREATE FUNCTION ledger.append(p_cursors bigint[], p_cursor_hashes bytea[], p_now_us bigint, p_wall_us bigint, p_witness_us bigint,
                              p_streams text, p_versions bigint[], p_keys text, p_bodies bytea, p_counts bigint[],
                              p_places int[], p_types text, p_data text,
                              OUT outcome text, OUT "position" bigint, OUT hash bytea, OUT at_us bigint, OUT believed_us bigint,
                              OUT detail json)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    streams  text[] := string_to_array(p_streams, U&'\001F');
    keys     text[] := string_to_array(p_keys, U&'\001F');
    types    text[] := string_to_array(p_types, U&'\001F');
    datas    text[] := string_to_array(p_data, U&'\001F');
    n        constant int := cardinality(p_places);
    firsts   int[];   -- of a command's first event its number
    next     bigint := 1;
    asked    text[];  -- each type, kind and kind of stream once,
    made     text[];  -- and its type
    newest   bigint[] := p_versions;  -- of each stream, with the rows so far
    row_versions bigint[]; tails bytea[];  -- what a hash covers but for the place in the log
    hashes   bytea[];
    queued   int[]; jobs jsonb[];  -- rows with a JobQueued, and its data
    what text; place int; stream text; type text; data text; command int; job jsonb; whole boolean;  -- of one row
    charge   jsonb;   -- whose job has to be the next row
    flawed text; refused text; spoken boolean;
    head     record;
    used boolean; allowed bigint; stale text[]; stale_versions bigint[];
BEGIN
    IF (n <= 4096 AND octet_length(p_data) <= 8388608 AND cardinality(keys) <= 4096 AND cardinality(streams) <= 16384
        AND n = cardinality(types) AND n = cardinality(datas) AND 1 <= ALL (p_places) AND cardinality(streams) >= ALL (p_places)
        AND cardinality(streams) = cardinality(p_versions) AND cardinality(keys) = cardinality(p_counts)
        AND octet_length(p_bodies) = 32 * cardinality(keys) AND 0 <= ALL (p_counts) AND cardinality(p_cursors) <= 8
        ) IS DISTINCT FROM true THEN
        RAISE EXCEPTION 'a batch has at most 4096 events and 8 MiB, as many values in each column, and events by commands'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR i IN 1..cardinality(keys) LOOP
        IF p_counts[i] > 0 AND next <= n THEN firsts[next] := i; END IF;
        next := next + p_counts[i];
    END LOOP;
    IF (next - 1 = n) IS DISTINCT FROM true THEN  -- NULL too, which an array of another shape gives
        RAISE EXCEPTION 'the commands say that they have % events, there are %', next - 1, n
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What needs nothing of the log comes before the lock: others append meanwhile.
    FOR i IN 1..n LOOP
        place := p_places[i];
        stream := streams[place];
        type := types[i];
        data := datas[i];
        command := firsts[i];
        row_versions[i] := newest[place] + 1;
        newest[place] := row_versions[i];
        tails[i] := audit.event_tail(
            stream, type, data, keys[command], substr(p_bodies, command * 32 - 31, 32), p_counts[command],
            CASE WHEN command IS NOT NULL THEN session_user::text END);
        what := type || U&'\001F' || ledger.kind_of(type, data) || U&'\001F' || split_part(stream, '-', 1) || '-';
        IF (what = ANY (asked)) IS DISTINCT FROM true THEN
            asked := asked || what;
            made := made || type;
        END IF;
        -- A charge is followed, in its command, by the first event of its job, of that price, account and parts; a job
        -- follows its charge, or has no price and follows the requeueing that names it.
        IF type = 'JobQueued' THEN
            job := data::jsonb;
            IF charge IS NULL THEN
                whole := job -> 'price' = '0' AND EXISTS (
                    SELECT FROM unnest(types, datas) AS r (type, data)
                    WHERE r.type = 'JobRequeued' AND r.data::json ->> 'as_job' = substr(stream, 5));
            ELSE
                whole := row_versions[i] = 1
                    AND stream = 'job-' || (charge ->> 'job') AND streams[p_places[i - 1]] = 'account-' || (job ->> 'account')
                    AND (charge -> 'amount')::text ~ '^[1-9][0-9]{0,8}$' AND job -> 'price' = charge -> 'amount'
                    AND job -> 'parts' = charge -> 'parts'
                    AND (jsonb_array_length(charge -> 'parts') = 1 AND charge #> '{parts,0,amount}' = charge -> 'amount'
                         OR ledger.parts_of(charge) = (charge ->> 'amount')::bigint);
            END IF;
            whole := whole AND command IS NULL;
            charge := NULL;
            jobs := jobs || job;
            queued := queued || i;
        ELSE
            whole := charge IS NULL;
            charge := CASE type WHEN 'CreditsCharged' THEN data::jsonb END;
        END IF;
        IF whole IS DISTINCT FROM true THEN flawed := concat_ws(', ', flawed, format('%s, event %s', type, i)); END IF;
    END LOOP;
    IF charge IS NOT NULL THEN flawed := concat_ws(', ', flawed, format('%s, event %s', type, n)); END IF;
    spoken := strpos(p_data, 'login:') > 0 OR strpos(p_data, '\') > 0;  -- JSON may write letters as \u…

    head := ledger.enter(p_cursors, p_cursor_hashes, p_wall_us, p_witness_us);
    outcome := head.outcome;
    believed_us := head.believed_us;
    IF outcome = 'back' THEN RETURN; END IF;
    -- In one query: what is not looked at in the end is cheaper than a query of its own.
    SELECT EXISTS (SELECT FROM public.events e WHERE e.key = ANY (keys)),
           (SELECT count(*) FROM ledger.event_rights e
            WHERE e.type = ANY (made) AND concat_ws(U&'\001F', e.type, e.kind, e.stream) = ANY (asked) AND session_user = ANY (e.roles)),
           array_agg(v.stream), array_agg(v.version)
    INTO used, allowed, stale, stale_versions
    FROM (SELECT streams[i] AS stream, p_versions[i] AS version FROM generate_series(1, cardinality(streams)) AS i) AS v
    WHERE v.version IS DISTINCT FROM coalesce(
        -- From there on: a page may hold a hundred older ones.
        (SELECT f.version FROM public.events f WHERE f.stream = v.stream AND f.version >= v.version
         ORDER BY f.version DESC LIMIT 1), 0);
    IF used THEN
        outcome := 'keys';
        detail := ledger.used_keys(keys);
        RETURN;
    END IF;
    IF outcome IN ('doubt', 'gap') THEN
        detail := json_build_object('clock_us', head.clock_us, 'head_us', head.head_us);
        RETURN;
    END IF;
    IF (p_now_us BETWEEN believed_us - 5000000 AND believed_us) IS DISTINCT FROM true THEN
        outcome := 'time';
        RETURN;
    END IF;

    IF cardinality(asked) > allowed THEN  -- or as a member of what may; superusers are members of everything: `enter` refuses them
        SELECT string_agg(coalesce(translate(a.what, U&'\001F', ' '), '?'), ', ') INTO refused
        FROM unnest(asked) AS a (what)
        WHERE NOT EXISTS (
            SELECT FROM ledger.event_rights e, unnest(e.roles) AS m (role)
            WHERE concat_ws(U&'\001F', e.type, e.kind, e.stream) = a.what AND pg_has_role(session_user, m.role, 'MEMBER'));
    END IF;
    IF refused IS NULL AND spoken THEN
        SELECT string_agg(e.type || ' as ' || e.actor, ', ') INTO refused
        FROM (SELECT t.type, t.data::json ->> 'actor' AS actor FROM unnest(types, datas) AS t (type, data)) AS e
        WHERE starts_with(e.actor, 'login:') AND e.actor <> 'login:' || session_user;
    END IF;
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION '% may not append %', session_user, refused USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF outcome = 'later' THEN
        SELECT json_agg(t.n - 1) INTO detail
        FROM unnest(types, datas) WITH ORDINALITY AS t (type, data, n)
        JOIN ledger.event_rights r ON r.type = t.type AND r.kind = ledger.kind_of(t.type, t.data) AND r.waits;
        IF detail IS NOT NULL THEN RETURN; END IF;
    END IF;

    IF stale IS NOT NULL THEN
        outcome := 'stale';
        detail := ledger.fresh_events(stale, stale_versions);
        RETURN;
    END IF;
    outcome := 'ok';
    "position" := head.position;
    hash := head.hash;
    at_us := greatest(least(p_now_us, head.clock_us), head.head_us);
    IF n = 0 THEN RETURN; END IF;
    IF p_now_us NOT BETWEEN at_us - 5000000 AND at_us THEN
        INSERT INTO ledger.decision_times
        VALUES (head.position + 1, head.position + n, p_now_us, head.clock_us, p_wall_us, p_witness_us);
    END IF;

    hashes[0] := head.hash;
    FOR i IN 1..n LOOP
        hashes[i] := sha256(hashes[i - 1] || int8send("position" + i) || int8send(row_versions[i]) || int8send(at_us) || tails[i]);
    END LOOP;
    hash := hashes[n];
    IF flawed IS NULL THEN
        INSERT INTO public.events (position, stream, version, type, data, key, body_hash, command_events, writer,
                                   recorded_at_us, hash)
        SELECT head.position + i, streams[p_places[i]], row_versions[i], types[i], datas[i]::json, keys[firsts[i]],
               substr(p_bodies, firsts[i] * 32 - 31, 32), p_counts[firsts[i]],
               CASE WHEN firsts[i] IS NOT NULL THEN session_user::text END, append.at_us, hashes[i]
        FROM generate_series(1, n) AS i;
        IF made && ARRAY['CreditsGranted', 'CreditsRefunded', 'CreditsRevoked', 'CreditsRestored', 'CreditsExpired', 'JobFailed'] THEN
            SELECT string_agg(format('%s at %s', f.type, f.position), ', ') INTO flawed
            FROM ledger.flawed_credits(head.position) AS f;
        END IF;
        IF made && ARRAY['CreditsGranted', 'CreditsRevoked'] THEN PERFORM ledger.require_within_day(head.position); END IF;
    END IF;
    IF flawed IS NOT NULL THEN
        RAISE EXCEPTION 'contradicts itself, or lacks what belongs to it: %', flawed USING ERRCODE = 'check_violation';
    END IF;
    IF queued IS NOT NULL THEN
        INSERT INTO public.open_jobs (job, account, position, deadline_at_us)
        SELECT substr(streams[p_places[queued[i]]], 5), jobs[i] ->> 'account', head.position + queued[i],
               (jobs[i] ->> 'deadline_at_us')::bigint
        FROM generate_series(1, cardinality(queued)) AS i;
    END IF;
    IF made && ARRAY['JobSucceeded', 'JobFailed'] THEN
        DELETE FROM public.open_jobs o
        WHERE o.job = ANY (ARRAY(SELECT substr(streams[p_places[i]], 5) FROM generate_series(1, n) AS i
                                 WHERE types[i] IN ('JobSucceeded', 'JobFailed')));
    END IF;
    "position" := head.position + n;
END $$;

-- Takes the log's time back to the database's clock, which an operator's own, p_true_us, confirms, when its newest event is
-- later than that: a clock was ahead. `later`: it was done, at that position; `ok`: there is nothing to correct; `doubt`: the two
-- clocks differ. Nobody may append this event in another way: docs/decisions/clock-corrected.md.
CREATE FUNCTION ledger.correct_clock(p_true_us bigint, p_reason text, OUT outcome text, OUT "position" bigint, OUT clock_us bigint,
                                     OUT head_us bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head    record;
    version bigint;
    key     text;
    data    text;
BEGIN
    IF (p_true_us > 0 AND length(p_reason) BETWEEN 1 AND 500) IS DISTINCT FROM true THEN
        RAISE EXCEPTION 'say what time it is, and why' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    head := ledger.enter('{}', '{}', NULL, p_true_us);
    outcome := head.outcome;
    clock_us := head.clock_us;
    head_us := head.head_us;
    IF outcome <> 'later' THEN RETURN; END IF;
    "position" := head.position + 1;
    key := 'clock-corrected:' || "position";
    SELECT coalesce(max(e.version), 0) + 1 INTO version FROM public.events e WHERE e.stream = 'system-clock';
    SELECT json_build_object('from_position', coalesce(max(e.position), 0) + 1, 'from_us', head_us, 'to_us', clock_us,
                             'reason', p_reason, 'actor', 'login:' || session_user)::text INTO data
    FROM (SELECT e.position FROM public.events e  -- from the head back to the last that was in time
          WHERE e.recorded_at_us <= correct_clock.clock_us ORDER BY e.position DESC LIMIT 1) AS e;
    INSERT INTO public.events (position, stream, version, type, data, key, body_hash, command_events, writer, recorded_at_us, hash)
    SELECT correct_clock.position, 'system-clock', version, 'ClockCorrected', data::json, key, b.hash, 1, session_user, clock_us,
           sha256(head.hash || audit.event_bytes(correct_clock.position, 'system-clock', version, 'ClockCorrected', data, clock_us,
                                                 key, b.hash, 1, session_user))
    FROM (SELECT sha256(convert_to(data, 'UTF8')) AS hash) AS b;
END $$;

-- Makes the table of unfinished jobs what the log says; for `neurocards recover`.
CREATE FUNCTION ledger.rebuild_open_jobs() RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE ledger.append_lock IN EXCLUSIVE MODE;
    DELETE FROM public.open_jobs o
    WHERE NOT EXISTS (SELECT FROM public.events q WHERE q.stream = 'job-' || o.job AND q.type = 'JobQueued')
       OR EXISTS (SELECT FROM public.events e WHERE e.stream = 'job-' || o.job AND e.type IN ('JobSucceeded', 'JobFailed'));
    INSERT INTO public.open_jobs (job, account, position, deadline_at_us)
    SELECT substr(q.stream, 5), q.data ->> 'account', q.position, (q.data ->> 'deadline_at_us')::bigint
    FROM public.events q
    WHERE q.type = 'JobQueued'
      AND NOT EXISTS (SELECT FROM public.events e WHERE e.stream = q.stream AND e.type IN ('JobSucceeded', 'JobFailed'))
    ON CONFLICT (job) DO NOTHING;
END $$;

-- What stands in the way of appending or will: who holds the lock, a lock on `events` that is older than a minute, a
-- snapshot that is (it keeps rows from being cleaned up), a NOTIFY queue above a tenth. For the monitor.
CREATE FUNCTION ledger.hindrances()
    RETURNS TABLE (what text, pid int, login text, since timestamptz, waits_for text, share float8)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'append_lock', a.pid, a.usename::text, a.xact_start, a.wait_event, NULL::float8
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE a.datname = current_database() AND l.relation = 'ledger.append_lock'::regclass
      AND l.mode = 'ExclusiveLock' AND l.granted
    UNION ALL
    SELECT DISTINCT 'events_lock', a.pid, a.usename::text, a.xact_start, a.wait_event, NULL::float8
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE a.datname = current_database() AND l.relation = 'public.events'::regclass AND l.granted
      AND a.xact_start < clock_timestamp() - interval '1 minute'
    UNION ALL
    SELECT 'snapshot', a.pid, a.usename::text, a.xact_start, a.wait_event, NULL::float8
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
      AND a.xact_start < clock_timestamp() - interval '1 minute'
    UNION ALL
    SELECT 'notify_queue', NULL, NULL, NULL, NULL, pg_notification_queue_usage() WHERE pg_notification_queue_usage() > 0.1
$$;

-- Ends who holds the append lock, if it is still this transaction, and not one that waits for a synchronous standby: ending
-- that one would show rows which stand on one machine only.
CREATE FUNCTION ledger.free_append_lock(p_pid int, p_since timestamptz) RETURNS boolean
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(bool_or(pg_terminate_backend(h.pid)), false)
    FROM ledger.hindrances() AS h
    WHERE h.what = 'append_lock' AND h.pid = p_pid AND h.since = p_since AND h.waits_for IS DISTINCT FROM 'SyncRep'
$$;

-- Who is connected to this database and since when, which a reader would see of its own sessions only.
CREATE FUNCTION ledger.sessions() RETURNS TABLE (login text, connections bigint, since timestamptz, last_query timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT usename::text, count(*), min(backend_start), max(query_start) FROM pg_stat_activity
    WHERE datname = current_database() GROUP BY 1
$$;

-- Everybody who appends may call these three; nobody may call what they are made of, but for the rule about clocks.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
ALTER TABLE ledger.append_lock OWNER TO neurocards_log;
ALTER TABLE ledger.event_rights OWNER TO neurocards_log;
ALTER TABLE ledger.witnesses OWNER TO neurocards_log;
ALTER TABLE ledger.day_limits OWNER TO neurocards_log;
ALTER TABLE ledger.decision_times OWNER TO neurocards_log;
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT p.oid::regprocedure AS name FROM pg_proc p WHERE p.pronamespace = 'ledger'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO neurocards_log', one.name);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION ledger.append, ledger.begin_append, ledger.clocks
    TO neurocards_web, neurocards_bot, neurocards_worker, neurocards_monitor, neurocards_maintenance, neurocards_dashboard, neurocards_operator;
GRANT EXECUTE ON FUNCTION ledger.judge_time, ledger.sessions TO neurocards_reader;
GRANT EXECUTE ON FUNCTION ledger.rebuild_open_jobs, ledger.correct_clock, ledger.clock, ledger.confirm_clock TO neurocards_operator;
GRANT EXECUTE ON FUNCTION ledger.hindrances TO neurocards_monitor, neurocards_operator;
GRANT EXECUTE ON FUNCTION ledger.free_append_lock TO neurocards_monitor;
DO $$
BEGIN
    GRANT pg_signal_backend, pg_read_all_stats TO neurocards_log;  -- for the two above
EXCEPTION WHEN insufficient_privilege OR internal_error THEN
    RAISE NOTICE 'nobody can free the append lock: %', SQLERRM;  -- the monitor's round `append_lock` fails then
END $$;
