-- What a chat is told of payments: that credits came (deliveries), and a message that shows how one stands.
-- What it shows is read from the log; where it is, from payment_links.

ALTER TABLE deliveries DROP CONSTRAINT deliveries_kind_check,
    ADD CONSTRAINT deliveries_kind_check
        CHECK (kind IN ('video', 'failure', 'gift', 'paid', 'paid_again')); -- of the last two, `job` is the payment

CREATE TABLE payment_statuses (
    payment    text        NOT NULL PRIMARY KEY,
    account    text        NOT NULL,
    wanted     bigint      NOT NULL DEFAULT 1,       -- version of what the message should show
    shown      bigint      NOT NULL DEFAULT 0,       -- version it shows, as far as we know
    abandoned  boolean     NOT NULL DEFAULT false,   -- it cannot be edited any more
    claims     bigint      NOT NULL DEFAULT 0,       -- fencing token: grows each time someone takes the row
    attempts   int         NOT NULL DEFAULT 0,       -- failed edits in a row
    due_at     timestamptz NOT NULL DEFAULT clock_timestamp(),  -- not to be taken before
    last_error text
);
CREATE INDEX payment_statuses_due ON payment_statuses (due_at) WHERE wanted > shown AND NOT abandoned;

GRANT SELECT, INSERT, UPDATE, DELETE ON payment_statuses TO neurocards_app;
GRANT SELECT ON payment_statuses TO auditor;
