-- Who is who and what they wrote: everything personal, kept out of the events so that it can be erased.

CREATE TABLE accounts (
    account     text        NOT NULL PRIMARY KEY,   -- random; the only name events know
    telegram_id bigint      UNIQUE,                 -- also the private chat's id; NULL once erased
    locale      text        NOT NULL DEFAULT 'ru',
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Product texts, wishes and prompts, under the random references that events carry.
CREATE TABLE texts (
    ref        text        NOT NULL PRIMARY KEY,
    account    text        NOT NULL REFERENCES accounts,
    body       json        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX texts_account ON texts (account);

-- A draft is an order before it is confirmed; its id is the order's id and idempotency key ever after.
CREATE TABLE drafts (
    draft      text        NOT NULL PRIMARY KEY,
    account    text        NOT NULL REFERENCES accounts,
    chat_id    bigint      NOT NULL,
    message_id bigint,                              -- the confirm message, which becomes the status message
    photo      text        NOT NULL,                -- blob key
    brief      text        NOT NULL REFERENCES texts (ref),
    style      text        NOT NULL,
    model      text        NOT NULL,
    jobs       text[]      NOT NULL,                -- ids of the jobs to be, made with the draft
    price      bigint      NOT NULL,                -- credits per job
    ordered    boolean     NOT NULL DEFAULT false,
    product_message bigint NOT NULL DEFAULT 0,      -- the message whose words are the product; edited, they change
    wishes_message  bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX drafts_account ON drafts (account, created_at DESC);

GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, texts, drafts TO neurocards_app;
