-- Read models: tables with a version in their name, read through views, and one cursor row per version.

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
GRANT SELECT ON cursors TO auditor;

CREATE TABLE balances_v1 (
    account       text   NOT NULL PRIMARY KEY,
    balance       bigint NOT NULL,
    granted       bigint NOT NULL,
    charged       bigint NOT NULL,
    refunded      bigint NOT NULL,
    revoked       bigint NOT NULL,
    charges       bigint NOT NULL,
    refunds       bigint NOT NULL,
    terms         text   NOT NULL,
    opened_at_us  bigint,
    updated_at_us bigint NOT NULL,
    position      bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE job_status_v1 (
    job              text    NOT NULL PRIMARY KEY,
    account          text    NOT NULL,
    order_id         text    NOT NULL,
    number           bigint  NOT NULL,
    of_jobs          bigint  NOT NULL,
    model            text    NOT NULL,
    style            text    NOT NULL,
    photo            text    NOT NULL,
    price            bigint  NOT NULL,
    queued_at_us     bigint  NOT NULL,
    deadline_at_us   bigint  NOT NULL,
    state            text    NOT NULL,
    run              bigint  NOT NULL,
    worker           text    NOT NULL,
    prompt_source    text    NOT NULL,
    submissions      bigint  NOT NULL,
    task             text    NOT NULL,
    retry_at_us      bigint,
    failed_by        text    NOT NULL,
    failure_class    text    NOT NULL,
    failure_code     text    NOT NULL,
    failure_message  text    NOT NULL,
    video            text    NOT NULL,
    video_sha256     text    NOT NULL,
    video_size_bytes bigint,
    gifted           boolean NOT NULL,
    started_at_us    bigint,
    ended_at_us      bigint,
    updated_at_us    bigint  NOT NULL,
    position         bigint  NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX ON job_status_v1 (account, queued_at_us DESC);
CREATE INDEX ON job_status_v1 (order_id);

CREATE VIEW balances AS SELECT * FROM balances_v1;
CREATE VIEW job_status AS SELECT * FROM job_status_v1;
INSERT INTO cursors (name) VALUES ('balances'), ('job_status');

GRANT SELECT, INSERT, UPDATE, DELETE ON balances_v1, job_status_v1 TO neurocards_app;
GRANT SELECT ON balances, job_status TO neurocards_app, auditor;
GRANT SELECT ON balances_v1, job_status_v1 TO auditor;

-- Double entry in plain SQL; projections/reports/books.py is the same in Python.
CREATE VIEW audit.transfers AS
SELECT position,
       type,
       CASE type WHEN 'CreditsGranted' THEN 'issued:' || (data ->> 'kind')
                 WHEN 'CreditsRefunded' THEN 'spent:generation'
                 ELSE 'user:' || substr(stream, length('account-') + 1) END AS source,
       CASE type WHEN 'CreditsCharged' THEN 'spent:generation'
                 WHEN 'CreditsRevoked' THEN 'revoked:' || (data ->> 'reason')
                 ELSE 'user:' || substr(stream, length('account-') + 1) END AS target,
       (data ->> 'amount')::bigint AS amount
FROM public.events
WHERE type IN ('CreditsGranted', 'CreditsCharged', 'CreditsRefunded', 'CreditsRevoked');

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

GRANT SELECT ON audit.transfers, audit.trial_balance TO neurocards_app, auditor;
