-- Cursors, and what an auditor asks. The read models' tables and views are made of their rows: see __init__.py.

-- Where each in-order consumer is. A projection has one row per version of its table, of which one is active
-- (its view reads that table); other consumers, e.g. the notifier, have one active row of version 1.
-- The row is locked first and written last in the transaction that writes the consumer's effects.
CREATE TABLE cursors (
    name       text        NOT NULL,
    version    int         NOT NULL DEFAULT 1 CHECK (version > 0),
    active     boolean     NOT NULL DEFAULT true,
    position   bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    hash       bytea       NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (length(hash) = 32),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX cursors_active ON cursors (name) WHERE active;
GRANT SELECT, INSERT, UPDATE ON cursors TO neurocards_app;
GRANT SELECT ON cursors TO neurocards_reader;

-- For an auditor with nothing but psql: what moved, when, and whether the promises were kept.
-- Everything here is a view or a function over `events`; projections/ has the same in Python, and tests compare.

-- A payment's grant, and which grant made lot n: grants are few, so both stay small, and no other event is in them.
CREATE INDEX events_grants ON events (stream, version) WHERE type = 'CreditsGranted';
CREATE INDEX events_references ON events ((data ->> 'reference'))
    WHERE type IN ('CreditsGranted', 'CreditsRevoked', 'CreditsRestored') AND data ->> 'reference' IS NOT NULL;

-- Positions and times ---------------------------------------------------------------------------------------

-- The log's time falls here alone. What stands from a correction's first position up to it was recorded by its time at the latest.
CREATE VIEW audit.corrections AS
SELECT e.position, e.writer, (e.data ->> 'from_position')::bigint AS from_position, (e.data ->> 'from_us')::bigint AS from_us,
       (e.data ->> 'to_us')::bigint AS to_us, e.data ->> 'actor' AS actor, e.data ->> 'reason' AS reason
FROM public.events e WHERE e.stream = 'system-clock' AND e.type = 'ClockCorrected';
COMMENT ON VIEW audit.corrections IS 'Where an operator took the log''s time back, as a clock had been ahead.';

-- Between two corrections times grow with positions, so that a few index lookups find the place; no index on the time is needed.
CREATE FUNCTION audit.position_at(at timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    wanted_us bigint := CASE at WHEN 'infinity' THEN 9223372036854775807 WHEN '-infinity' THEN -1
                                ELSE (extract(epoch FROM at) * 1000000)::bigint END;
    -- recorded in time
    low  bigint := coalesce((SELECT max(c.position) FROM audit.corrections c WHERE c.to_us <= wanted_us), 0);
    high bigint := coalesce((SELECT min(c.from_position) FROM audit.corrections c WHERE c.position > low),  -- too late
                            (SELECT position FROM public.events ORDER BY position DESC LIMIT 1) + 1, 1);
    middle bigint;
    place record;
BEGIN
    WHILE high - low > 1 LOOP
        middle := low + (high - low) / 2;
        SELECT position, recorded_at_us INTO place FROM public.events WHERE position <= middle
        ORDER BY position DESC LIMIT 1;
        IF NOT FOUND THEN
            low := middle;
        ELSIF place.recorded_at_us <= wanted_us THEN
            low := middle;
        ELSE
            high := least(place.position, middle);
        END IF;
    END LOOP;
    RETURN low;
END $$;
COMMENT ON FUNCTION audit.position_at IS 'The last position recorded at or before a time; 0 before the first event.';

CREATE FUNCTION audit.time_at(at_position bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT recorded_at_us FROM public.events WHERE position <= at_position ORDER BY position DESC LIMIT 1);
COMMENT ON FUNCTION audit.time_at IS 'When a position was recorded, in epoch microseconds.';

CREATE FUNCTION audit.to_time(time_us bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN timestamptz 'epoch' + time_us * interval '1 microsecond';

-- What happened ---------------------------------------------------------------------------------------------

CREATE VIEW audit.journal AS
SELECT e.position,
       audit.to_time(e.recorded_at_us) AS recorded_at,
       e.type,
       CASE WHEN e.stream LIKE 'account-%' THEN substr(e.stream, 9)
            WHEN e.stream LIKE 'job-%' OR e.stream LIKE 'payment-%' THEN
                (SELECT q.data ->> 'account' FROM public.events q WHERE q.stream = e.stream AND q.version = 1)
       END AS account,
       CASE WHEN e.stream LIKE 'job-%' THEN substr(e.stream, 5) ELSE e.data ->> 'job' END AS job,
       e.data ->> 'order' AS order_id,
       coalesce(e.data ->> 'reference', e.data ->> 'provider_payment') AS reference,
       (e.data ->> 'amount')::bigint AS amount,
       coalesce(e.data -> 'failure' ->> 'error_class', e.data ->> 'reason') AS reason,
       e.key,
       e.data,
       e.stream,
       e.version,
       CASE WHEN e.stream LIKE 'payment-%' THEN substr(e.stream, 9) END AS payment
FROM public.events e;
COMMENT ON VIEW audit.journal IS 'Every event with its account, job, order and payment (reference). Filter by stream or position.';

-- Credits and their lots ------------------------------------------------------------------------------------

CREATE VIEW audit.lot_movements AS
SELECT e.position,
       audit.to_time(e.recorded_at_us) AS recorded_at,
       substr(e.stream, 9) AS account,
       m.lot, m.kind, m.amount, m.expires_at_us, e.type, e.stream
FROM public.events e
CROSS JOIN LATERAL (
    SELECT (e.data ->> 'lot')::bigint AS lot,
           e.data ->> 'kind' AS kind,
           (e.data ->> 'amount')::bigint - (e.data ->> 'settled')::bigint AS amount,
           (e.data ->> 'expires_at_us')::bigint AS expires_at_us
    WHERE e.type = 'CreditsGranted'
    UNION ALL
    SELECT (part ->> 'lot')::bigint, part ->> 'kind',
           CASE WHEN e.type IN ('CreditsRefunded', 'CreditsRestored') THEN 1 ELSE -1 END * (part ->> 'amount')::bigint,
           (part ->> 'expires_at_us')::bigint
    FROM json_array_elements(CASE WHEN e.type IN ('CreditsCharged', 'CreditsRefunded', 'CreditsRevoked', 'CreditsRestored')
                                  THEN e.data -> 'parts' END) AS part
    UNION ALL
    SELECT (e.data ->> 'lot')::bigint, e.data ->> 'kind', -(e.data ->> 'amount')::bigint,
           (e.data ->> 'due_at_us')::bigint
    WHERE e.type = 'CreditsExpired'
    UNION ALL
    SELECT NULL::bigint AS lot, 'debt' AS kind, (e.data ->> 'settled')::bigint AS amount, NULL::bigint AS expires_at_us
    WHERE e.type IN ('CreditsGranted', 'CreditsRefunded', 'CreditsRestored') AND (e.data ->> 'settled')::bigint > 0
    UNION ALL
    SELECT NULL::bigint AS lot, 'debt' AS kind, owed.amount, NULL::bigint AS expires_at_us  -- named, as a restore would name them
    FROM (SELECT coalesce((SELECT sum((part ->> 'amount')::bigint) FROM json_array_elements(e.data -> 'parts') AS part), 0)
                 - (e.data ->> 'amount')::bigint AS amount) AS owed
    WHERE e.type = 'CreditsRevoked' AND owed.amount < 0
) AS m
WHERE e.type IN ('CreditsGranted', 'CreditsCharged', 'CreditsRefunded', 'CreditsRevoked', 'CreditsRestored',
                 'CreditsExpired')
  AND (m.amount <> 0 OR e.type = 'CreditsGranted');
COMMENT ON VIEW audit.lot_movements IS
    'What each event put into (+) and took out of (-) each lot. kind `debt`: what is owed below zero, and its settling. '
    'An account''s movements add up to its balance. Filter by stream.';

CREATE VIEW audit.lots AS
SELECT m.account, m.lot, m.kind,
       (g.data ->> 'amount')::bigint AS granted,
       m.amount_left,
       audit.to_time(m.expires_at_us) AS expires_at,
       audit.to_time(g.recorded_at_us) AS granted_at,
       g.data ->> 'reason' AS reason,
       g.data ->> 'reference' AS reference,
       (g.data -> 'paid' ->> 'amount_minor')::bigint AS paid_minor,
       g.data -> 'paid' ->> 'currency' AS currency,
       g.data ->> 'actor' AS actor,
       g.position, m.stream
FROM (SELECT stream, account, lot, min(kind) AS kind, sum(amount)::bigint AS amount_left,
             min(position) FILTER (WHERE type = 'CreditsGranted') AS position,
             (array_agg(expires_at_us ORDER BY position DESC) FILTER (WHERE amount > 0))[1] AS expires_at_us
      FROM audit.lot_movements WHERE lot IS NOT NULL GROUP BY stream, account, lot) AS m
LEFT JOIN public.events g ON g.position = m.position;
COMMENT ON VIEW audit.lots IS 'Every grant, what is left of it, and what was paid for it. Filter by stream.';

-- A balance at a position, with lives judged at a time: a lot whose life was over does not count, booked or not.
CREATE FUNCTION audit.balance(of_account text, at_position bigint, at_us bigint) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC
    WITH moves AS MATERIALIZED (
        SELECT position, lot, amount, expires_at_us FROM audit.lot_movements
        WHERE stream = 'account-' || of_account AND position <= at_position
    ), lives AS (
        SELECT sum(amount) AS amount_left,
               (array_agg(expires_at_us ORDER BY position DESC) FILTER (WHERE amount > 0))[1] AS expires_at_us
        FROM moves WHERE lot IS NOT NULL AND expires_at_us IS NOT NULL GROUP BY lot
    )
    SELECT (SELECT coalesce(sum(amount), 0) FROM moves)::bigint
           - (SELECT coalesce(sum(amount_left), 0) FROM lives WHERE expires_at_us <= at_us AND amount_left > 0)::bigint;
END;

CREATE FUNCTION audit.balance_at(account text, "position" bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN audit.balance(account, "position", audit.time_at("position"));
COMMENT ON FUNCTION audit.balance_at IS 'What an account could spend right after a position.';

CREATE FUNCTION audit.balance_at_time(account text, at timestamptz) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN audit.balance(account, audit.position_at(at), (extract(epoch FROM at) * 1000000)::bigint);
COMMENT ON FUNCTION audit.balance_at_time IS 'What an account could spend at a time, e.g. now().';

-- The books -------------------------------------------------------------------------------------------------

-- Double entry: every credit event is one transfer; tests/support/books.py has the same in Python.
CREATE VIEW audit.transfers AS
SELECT position,
       type,
       CASE type WHEN 'CreditsGranted' THEN 'issued:' || (data ->> 'kind')
                 WHEN 'CreditsRefunded' THEN 'spent:generation'
                 WHEN 'CreditsRestored' THEN 'revoked:payment'
                 ELSE 'user:' || substr(stream, length('account-') + 1) END AS source,
       CASE type WHEN 'CreditsCharged' THEN 'spent:generation'
                 WHEN 'CreditsRevoked' THEN 'revoked:' || (data ->> 'kind')
                 WHEN 'CreditsExpired' THEN 'expired:' || (data ->> 'kind')
                 ELSE 'user:' || substr(stream, length('account-') + 1) END AS target,
       (data ->> 'amount')::bigint AS amount
FROM public.events
WHERE type IN ('CreditsGranted', 'CreditsCharged', 'CreditsRefunded', 'CreditsRevoked', 'CreditsRestored',
               'CreditsExpired');
COMMENT ON VIEW audit.transfers IS 'Every credit event as one transfer between two accounts of the books.';

CREATE VIEW audit.trial_balance AS
SELECT account, sum(credits)::bigint AS balance, count(*) AS transfers
FROM (
    SELECT target AS account, amount AS credits FROM audit.transfers
    UNION ALL
    SELECT source, -amount FROM audit.transfers
) AS legs
GROUP BY account;

COMMENT ON VIEW audit.trial_balance IS 'Every account of the books; the balances sum to zero.';

-- Expiries that are due at a time and not booked at a position count as booked. Only accounts that were ever given
-- credits with an end can hold some that are over.
CREATE FUNCTION audit.books(at_position bigint, at_us bigint)
RETURNS TABLE (account text, debits bigint, credits bigint, balance bigint)
LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC
    WITH moved AS (
        SELECT source, target, sum(amount) AS amount FROM audit.transfers
        WHERE position <= at_position GROUP BY source, target
        UNION ALL
        SELECT 'user:' || lives.account, 'expired:' || lives.kind, lives.amount_left
        FROM (SELECT moves.account, moves.lot, min(moves.kind) AS kind, sum(moves.amount) AS amount_left,
                     (array_agg(moves.expires_at_us ORDER BY moves.position DESC)
                         FILTER (WHERE moves.amount > 0))[1] AS expires_at_us
              FROM audit.lot_movements moves
              WHERE moves.position <= at_position AND moves.lot IS NOT NULL AND moves.expires_at_us IS NOT NULL
                AND moves.stream IN (SELECT given.stream FROM public.events given
                                     WHERE given.type = 'CreditsGranted' AND given.data ->> 'expires_at_us' IS NOT NULL)
              GROUP BY moves.stream, moves.account, moves.lot) AS lives
        WHERE lives.expires_at_us <= at_us AND lives.amount_left > 0
    )
    SELECT legs.account, sum(debit)::bigint, sum(credit)::bigint, (sum(debit) - sum(credit))::bigint
    FROM (SELECT target AS account, amount AS debit, 0 AS credit FROM moved
          UNION ALL
          SELECT source, 0, amount FROM moved) AS legs
    GROUP BY legs.account;
END;

CREATE FUNCTION audit.books_at("position" bigint)
RETURNS TABLE (account text, debits bigint, credits bigint, balance bigint)
LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC
    SELECT * FROM audit.books("position", audit.time_at("position"));
END;
COMMENT ON FUNCTION audit.books_at IS
    'Every account of the books right after a position: what came in (debits), what went out (credits). Sums to zero.';

-- The promises: each view is empty when it was kept ---------------------------------------------------------

CREATE VIEW audit.job_outcomes AS
SELECT job,
       sum(amount) FILTER (WHERE type = 'CreditsCharged')::bigint AS charged,
       sum(amount) FILTER (WHERE type = 'CreditsRefunded')::bigint AS refunded,
       count(*) FILTER (WHERE type = 'CreditsCharged') AS charges,
       count(*) FILTER (WHERE type = 'CreditsRefunded') AS refunds,
       count(*) FILTER (WHERE type = 'JobSucceeded') AS videos,
       count(*) FILTER (WHERE type = 'JobFailed') AS failures,
       count(*) FILTER (WHERE type = 'VideoGifted') AS gifts,
       min(position) AS first_position,
       max(position) AS last_position,
       count(*) FILTER (WHERE type = 'JobRequeued') AS free_of
FROM (SELECT position, type,
             CASE WHEN type LIKE 'Credits%' THEN data ->> 'job'
                  WHEN type = 'JobRequeued' THEN data ->> 'as_job'
                  ELSE substr(stream, 5) END AS job,
             CASE WHEN type LIKE 'Credits%' THEN (data ->> 'amount')::bigint END AS amount
      FROM public.events
      WHERE type IN ('CreditsCharged', 'CreditsRefunded', 'JobSucceeded', 'JobFailed', 'VideoGifted')
         OR (type = 'JobRequeued' AND (data ->> 'price')::bigint = 0)) AS moves
GROUP BY job;
COMMENT ON VIEW audit.job_outcomes IS
    'How each job ended that was charged, or (free_of) that makes a failed one again for free. Reads the whole log.';

CREATE VIEW audit.double_outcomes AS
SELECT * FROM audit.job_outcomes
WHERE charges + free_of <> 1 OR refunds > 1 OR videos + failures > 1 OR gifts > 1 OR videos + refunds > 1
   OR refunds > failures OR gifts > failures OR refunds > charges;
COMMENT ON VIEW audit.double_outcomes IS
    'Empty when every charged job has one charge and at most one outcome: a video, or a failure with one refund.';

CREATE VIEW audit.unrefunded_failures AS
SELECT * FROM audit.job_outcomes WHERE failures > 0 AND refunded IS DISTINCT FROM charged;
COMMENT ON VIEW audit.unrefunded_failures IS 'Empty when every failed job was refunded, wholly.';

CREATE VIEW audit.unfinished_jobs AS
SELECT o.job, o.charged, o.first_position, audit.to_time(j.deadline_at_us) AS deadline_at, j.job IS NULL AS forgotten
FROM audit.job_outcomes o LEFT JOIN public.open_jobs j ON j.job = o.job
WHERE o.videos + o.failures = 0;
COMMENT ON VIEW audit.unfinished_jobs IS
    'Charged jobs without an outcome. None should be past its deadline by more than a minute, and none forgotten.';

CREATE VIEW audit.overdrafts AS
SELECT position, account, amount, balance
FROM (SELECT position, type, substr(stream, 9) AS account, amount,
             sum(CASE WHEN type IN ('CreditsGranted', 'CreditsRefunded', 'CreditsRestored') THEN amount ELSE -amount END)
                 OVER (PARTITION BY stream ORDER BY position) AS balance
      FROM (SELECT position, type, stream, (data ->> 'amount')::bigint AS amount FROM public.events
            WHERE type IN ('CreditsGranted', 'CreditsCharged', 'CreditsRefunded', 'CreditsRevoked', 'CreditsRestored',
                           'CreditsExpired')
           ) AS moves) AS running
WHERE type IN ('CreditsCharged', 'CreditsExpired') AND balance < 0;
COMMENT ON VIEW audit.overdrafts IS 'Empty when no charge took more than there was. Reads the whole log.';

-- What expired between two positions and should have lived longer than a time: how much of it has come back since, and the
-- payment that had bought it.
CREATE FUNCTION audit.expired_early(from_position bigint, before_position bigint, true_us bigint)
    RETURNS TABLE ("position" bigint, stream text, lot bigint, amount bigint, due_at_us bigint, returned bigint, payment text)
    LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT e.position, e.stream, (e.data ->> 'lot')::bigint, (e.data ->> 'amount')::bigint, (e.data ->> 'due_at_us')::bigint,
           (SELECT coalesce(sum((g.data ->> 'amount')::bigint), 0)::bigint FROM public.events g
            WHERE g.type = 'CreditsGranted' AND g.data ->> 'reference' = 'clock:' || e.position
              AND g.stream = e.stream AND g.data ->> 'from_lot' = e.data ->> 'lot'),
           (SELECT substr(s.stream, 9) FROM public.events g
            JOIN public.events s ON s.type = 'PaymentSucceeded'
                                AND (s.data ->> 'provider') || ':' || (s.data ->> 'provider_payment') = g.data ->> 'reference'
                                AND s.data ->> 'provider_payment' = split_part(g.data ->> 'reference', ':', 2)
            WHERE g.stream = e.stream AND g.type = 'CreditsGranted' AND g.data ->> 'lot' = e.data ->> 'lot')
    FROM public.events e
    WHERE e.position >= from_position AND e.position < before_position AND e.type = 'CreditsExpired'
      AND (e.data ->> 'due_at_us')::bigint > true_us;
END;

-- Payments --------------------------------------------------------------------------------------------------

-- A refund of a lot's money does not take these again. An account's expiries and revocations are few.
CREATE FUNCTION audit.lost(of_stream text, of_lot bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT coalesce(sum((part ->> 'amount')::bigint), 0)::bigint
            FROM public.events e
            CROSS JOIN LATERAL json_array_elements(CASE e.type WHEN 'CreditsExpired' THEN json_build_array(e.data)
                                                               ELSE e.data -> 'parts' END) AS part
            WHERE e.stream = of_stream AND (part ->> 'lot')::bigint = of_lot
              AND (e.type = 'CreditsExpired' AND NOT EXISTS (  -- by a clock that was ahead, and whole again
                       SELECT FROM public.events g
                       WHERE g.type = 'CreditsGranted' AND g.data ->> 'reference' = 'clock:' || e.position
                         AND g.stream = e.stream AND g.data ->> 'amount' = e.data ->> 'amount')
                   OR (e.type = 'CreditsRevoked' AND e.data ->> 'kind' <> 'payment')));
COMMENT ON FUNCTION audit.lost IS 'The credits of a lot that expired, or were taken for another reason than a refund.';

-- What is asked of one payment, its own stream is read for; the few grants and revocations that name it are found by
-- events_references. Money that is flagged and not credited stands here too, with no credits.
CREATE VIEW audit.payments AS
SELECT substr(o.stream, 9) AS payment,
       o.data ->> 'account' AS account,
       o.data ->> 'provider' AS provider,
       m.provider_payment,
       o.data ->> 'package' AS package,
       (o.data ->> 'test')::boolean AS test,
       o.data ->> 'currency' AS currency,
       (o.data ->> 'amount_minor')::bigint AS ordered_minor,
       m.paid_minor,
       m.refunded_minor,
       m.refunding_minor,
       (o.data ->> 'credits')::bigint AS credits,
       coalesce(g.granted, 0) AS granted,
       coalesce(g.taken, 0) - coalesce(b.came_back, 0) AS revoked,
       coalesce(m.credited, 0) AS credited,
       m.lot,
       coalesce(m.successes, 0) AS successes,
       coalesce(g.grants, 0) AS grants,
       m.problem,
       audit.to_time(o.recorded_at_us) AS ordered_at,
       audit.to_time(m.paid_at_us) AS paid_at,
       o.position,
       o.stream
FROM public.events o
LEFT JOIN LATERAL (
    SELECT provider_payment,
           coalesce(max(amount) FILTER (WHERE type = 'PaymentSucceeded'),
                    max(amount) FILTER (WHERE type = 'PaymentFlagged')) AS paid_minor,
           coalesce(sum(amount) FILTER (WHERE type = 'PaymentRefunded'), 0)::bigint AS refunded_minor,
           coalesce(sum(amount) FILTER (WHERE type = 'RefundIntended' AND NOT over), 0)::bigint AS refunding_minor,
           count(*) FILTER (WHERE type = 'PaymentSucceeded') AS successes,
           (sum(credits) FILTER (WHERE type = 'PaymentSucceeded'))::bigint AS credited,
           max(lot) FILTER (WHERE type = 'PaymentSucceeded') AS lot,
           max(problem) AS problem,
           min(recorded_at_us) FILTER (WHERE type = 'PaymentSucceeded') AS paid_at_us
    FROM (SELECT e.type, e.recorded_at_us, e.data ->> 'provider_payment' AS provider_payment,
                 (e.data ->> 'amount_minor')::bigint AS amount, e.data ->> 'problem' AS problem,
                 (e.data ->> 'credits')::bigint AS credits, (e.data ->> 'lot')::bigint AS lot,
                 EXISTS (SELECT FROM public.events x
                         WHERE x.stream = e.stream AND x.type IN ('RefundFailed', 'PaymentRefunded')
                           AND x.data ->> 'refund' = e.data ->> 'refund') AS over
          FROM public.events e
          WHERE e.stream = o.stream
            AND e.type IN ('PaymentSucceeded', 'PaymentFlagged', 'PaymentRefunded', 'RefundIntended')) AS moves
    GROUP BY provider_payment
) AS m ON true
LEFT JOIN LATERAL (
    SELECT sum(amount) FILTER (WHERE type = 'CreditsGranted')::bigint AS granted,
           sum(amount) FILTER (WHERE type = 'CreditsRevoked' AND kind = 'payment')::bigint AS taken,
           count(*) FILTER (WHERE type = 'CreditsGranted') AS grants
    FROM (SELECT c.type, c.data ->> 'kind' AS kind, (c.data ->> 'amount')::bigint AS amount
          FROM public.events c
          WHERE c.type IN ('CreditsGranted', 'CreditsRevoked', 'CreditsRestored')
            AND c.data ->> 'reference' = (o.data ->> 'provider') || ':' || m.provider_payment
            AND c.stream = 'account-' || (o.data ->> 'account')) AS moves
) AS g ON true
LEFT JOIN LATERAL (
    SELECT sum((c.data ->> 'amount')::bigint)::bigint AS came_back
    FROM public.events i
    JOIN public.events c ON c.type IN ('CreditsGranted', 'CreditsRevoked', 'CreditsRestored')
                        AND c.type = 'CreditsRestored'
                        AND c.data ->> 'reference' = i.data ->> 'refund'
                        AND c.stream = 'account-' || (o.data ->> 'account')
    WHERE i.stream = o.stream AND i.type = 'RefundIntended' AND i.data ->> 'provider_payment' = m.provider_payment
) AS b ON true
WHERE o.type = 'PaymentOrdered';
COMMENT ON VIEW audit.payments IS
    'Every payment, once for each id under which money came, with the credits given for it and taken back.';

CREATE VIEW audit.unsettled_payments AS
SELECT CASE WHEN successes > 1 OR grants > successes THEN 'credited more than once or without money'
            WHEN granted <> credited OR (problem IS NULL AND granted <> successes * credits) THEN 'paid and not granted what was ordered'
            WHEN refunded_minor + refunding_minor > paid_minor OR paid_minor IS NULL THEN 'more went back than came'
            ELSE 'revoked credits are not those of the money that went back' END AS problem,
       payment, account, provider, provider_payment, paid_minor, refunded_minor, refunding_minor, credits, granted,
       revoked, position
FROM (SELECT *, least((2 * granted * (refunded_minor + refunding_minor) + paid_minor) / nullif(2 * paid_minor, 0),
                      granted) AS share
      FROM audit.payments) AS money
WHERE provider_payment IS NOT NULL
  AND (successes > 1 OR grants <> successes OR granted <> credited OR paid_minor IS NULL
       OR (problem IS NULL AND granted <> successes * credits)  -- an operator says what flagged money buys
       OR refunded_minor + refunding_minor > paid_minor
       -- Half up, never more than were bought, less what is gone otherwise; flagged money bought none.
       OR CASE WHEN revoked = share THEN false WHEN revoked > share THEN true
               ELSE revoked < least(share, granted - audit.lost('account-' || account, lot)) END)
UNION ALL
SELECT 'granted without a payment', NULL, substr(g.stream, 9), split_part(g.data ->> 'reference', ':', 1),
       substr(g.data ->> 'reference', strpos(g.data ->> 'reference', ':') + 1),
       (g.data -> 'paid' ->> 'amount_minor')::bigint, NULL, NULL, NULL, (g.data ->> 'amount')::bigint, NULL, g.position
FROM public.events g
WHERE g.type = 'CreditsGranted' AND g.data ->> 'kind' = 'purchase' AND g.data ->> 'reference' ~ '^(yookassa|stars):'
  AND NOT EXISTS (
      SELECT FROM public.events s
      WHERE s.type = 'PaymentSucceeded'
        AND s.data ->> 'provider_payment' = substr(g.data ->> 'reference', strpos(g.data ->> 'reference', ':') + 1)
        AND s.data ->> 'provider' = split_part(g.data ->> 'reference', ':', 1));
COMMENT ON VIEW audit.unsettled_payments IS
    'Empty when every payment was granted what was ordered, once, and what went back took its credits, no more or less.';

GRANT SELECT ON ALL TABLES IN SCHEMA audit TO neurocards_reader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA audit TO neurocards_reader;
