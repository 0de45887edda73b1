-- Where each payment stands, and for an auditor what money and credits came to for each id of the provider's.

CREATE TABLE payments_v1 (
    payment          text    NOT NULL PRIMARY KEY,
    account          text    NOT NULL,
    provider         text    NOT NULL,
    package          text    NOT NULL,
    credits          bigint  NOT NULL,
    amount_minor     bigint  NOT NULL,
    currency         text    NOT NULL,
    test             boolean NOT NULL,
    ordered_at_us    bigint  NOT NULL,
    state            text    NOT NULL,
    provider_payment text    NOT NULL,
    paid_minor       bigint  NOT NULL,
    refunded_minor   bigint  NOT NULL,
    revoked_credits  bigint  NOT NULL,
    successes        bigint  NOT NULL,
    flag             text    NOT NULL,
    settled_at_us    bigint,
    received         json    NOT NULL,
    intents          json    NOT NULL,
    updated_at_us    bigint  NOT NULL,
    position         bigint  NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX ON payments_v1 (account, ordered_at_us DESC);
CREATE INDEX ON payments_v1 (provider_payment) WHERE provider_payment <> '';
-- What the reconciler asks about: the oldest first.
CREATE INDEX ON payments_v1 (ordered_at_us, payment) WHERE state IN ('ordered', 'pending');
CREATE INDEX ON payments_v1 (updated_at_us, payment) WHERE state IN ('refunding', 'flagged');

CREATE VIEW payments AS SELECT * FROM payments_v1;
INSERT INTO cursors (name) VALUES ('payments');

GRANT SELECT, INSERT, UPDATE, DELETE ON payments_v1 TO neurocards_app;
GRANT SELECT ON payments TO neurocards_app, auditor;
GRANT SELECT ON payments_v1 TO auditor;

-- A refund of a lot's money does not take these again. An account's expiries and revocations are few.
CREATE FUNCTION audit.lost(of_stream text, of_lot bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT coalesce(sum((part ->> 'amount')::bigint), 0)::bigint
            FROM public.events e
            CROSS JOIN LATERAL json_array_elements(CASE e.type WHEN 'CreditsExpired' THEN json_build_array(e.data)
                                                               ELSE e.data -> 'parts' END) AS part
            WHERE e.stream = of_stream AND (part ->> 'lot')::bigint = of_lot
              AND (e.type = 'CreditsExpired'
                   OR (e.type = 'CreditsRevoked' AND coalesce(e.data ->> 'kind', 'manual') <> 'payment')));
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

-- The same, with payments.
CREATE OR REPLACE VIEW audit.journal AS
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
       coalesce(e.data ->> 'reason', e.data -> 'failure' ->> 'error_class') AS reason,
       e.key,
       e.data,
       e.stream,
       e.version,
       CASE WHEN e.stream LIKE 'payment-%' THEN substr(e.stream, 9) END AS payment
FROM public.events e;

GRANT EXECUTE ON FUNCTION audit.lost TO neurocards_app, auditor;
GRANT SELECT ON audit.payments, audit.unsettled_payments TO neurocards_app, auditor;
