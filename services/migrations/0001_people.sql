-- Who is who and what they wrote: everything personal, kept out of the events so that it can be erased.
-- Erasing a person is deleting their row: what refers to it goes along, and whoever is about to write something
-- that refers to it cannot any more (docs/decisions/erasure.md).

CREATE TABLE accounts (
    account     text        NOT NULL PRIMARY KEY,   -- random; the only name events know
    telegram_id bigint      NOT NULL UNIQUE,        -- also the private chat's id
    locale      text        NOT NULL DEFAULT 'ru',
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Product texts, wishes and prompts, under the random references that events carry.
CREATE TABLE texts (
    ref        text        NOT NULL PRIMARY KEY,
    account    text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    body       json        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX texts_account ON texts (account);

-- Every photo and video, from before its first byte. Without an owner it is to be deleted.
CREATE TABLE blobs (
    blob    text        NOT NULL PRIMARY KEY,       -- key in the blob store
    account text        REFERENCES accounts ON DELETE SET NULL,
    used_at timestamptz NOT NULL DEFAULT clock_timestamp()  -- last; infinity: it belongs to an order
);
CREATE INDEX blobs_account ON blobs (account);
CREATE INDEX blobs_unused ON blobs (used_at) WHERE used_at < 'infinity';

-- A draft is an order before it is confirmed; its id is the order's id and idempotency key ever after.
CREATE TABLE drafts (
    draft      text        NOT NULL PRIMARY KEY,
    account    text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    chat_id    bigint      NOT NULL,
    message_id bigint,                              -- the confirm message, which becomes the status message
    photo      text        NOT NULL,                -- blob key
    brief      text        NOT NULL REFERENCES texts (ref) ON DELETE CASCADE,
    style      text        NOT NULL,
    model      text        NOT NULL,
    jobs       text[]      NOT NULL,                -- ids of the jobs to be, made with the draft
    price      bigint      NOT NULL,                -- credits per job
    ordered    boolean     NOT NULL DEFAULT false,
    product_message bigint NOT NULL DEFAULT 0,      -- the message whose words are the product; edited, they change
    wishes_message  bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at    timestamptz NOT NULL DEFAULT clock_timestamp()  -- last read by the bot
);
CREATE INDEX drafts_account ON drafts (account, created_at DESC);
CREATE INDEX drafts_brief ON drafts (brief);
CREATE INDEX drafts_photo ON drafts (photo);
CREATE INDEX drafts_unused ON drafts (used_at) WHERE NOT ordered;

GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, texts, blobs, drafts TO neurocards_app;
