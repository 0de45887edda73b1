-- Both sides of an invitation are told of their bonus; `job` is the invited account.

ALTER TABLE deliveries DROP CONSTRAINT deliveries_kind_check,
    ADD CONSTRAINT deliveries_kind_check
        CHECK (kind IN ('video', 'failure', 'gift', 'paid', 'paid_again', 'referral', 'referred'));
