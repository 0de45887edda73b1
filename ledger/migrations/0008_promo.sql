-- The last guard for gifts, should the deciders ever be wrong: a code is made once and used once per account, and
-- an invitation is rewarded once. The others find codes, and invited accounts that may be due their bonus.
CREATE UNIQUE INDEX events_one_creation_per_promo ON events (stream) WHERE type = 'PromoCreated';
CREATE UNIQUE INDEX events_one_use_per_account
    ON events (stream, (data ->> 'account')) WHERE type = 'PromoRedeemed';
CREATE UNIQUE INDEX events_one_reward_per_invited ON events (stream) WHERE type = 'InvitationRewarded';
CREATE INDEX events_invited ON events (position)
    WHERE type = 'AccountOpened' AND (data ->> 'invited_by') <> '';
CREATE INDEX events_gifts ON events ((data ->> 'reference'), position)
    WHERE type = 'CreditsGranted' AND (data ->> 'kind') IN ('promo', 'referral');
