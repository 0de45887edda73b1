-- Promo codes that did not work, as tried in the chat: so that nobody guesses them by the thousand.
CREATE TABLE wrong_codes (
    account  text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    tried_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX wrong_codes_account ON wrong_codes (account, tried_at);
GRANT SELECT, INSERT, DELETE ON wrong_codes TO neurocards_app;
