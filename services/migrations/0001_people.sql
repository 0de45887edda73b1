-- Who is who and what they wrote: everything personal, kept out of the events so that it can be erased.
-- Erasing a person is deleting their row: what refers to it goes along, and whoever is about to write something
-- that refers to it cannot any more (docs/decisions/erasure.md).

CREATE TABLE accounts (
    account     text        NOT NULL PRIMARY KEY,   -- random; the only name events know
    telegram_id bigint      NOT NULL UNIQUE,        -- also the private chat's id
    locale      text        NOT NULL DEFAULT 'ru',
    reminders   boolean     NOT NULL DEFAULT true,  -- whether they want to be reminded of what they did not ask to hear
    invite      text        UNIQUE CHECK (invite ~ '^[0-9a-v]{8}$'),  -- of their link, made when they first see it
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- 244 of its bits are random. The log holds `person` and never the salt: docs/decisions/person-commitment.md
    salt        bytea       NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
    person      text        NOT NULL GENERATED ALWAYS AS (encode(sha256(salt || int8send(telegram_id)), 'hex')) STORED
);

-- Product texts, wishes and prompts, under the random references that events carry.
CREATE TABLE texts (
    ref        text        NOT NULL PRIMARY KEY,
    account    text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    body       json        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX texts_account ON texts (account);
CREATE INDEX texts_old ON texts (created_at);

-- What a company said where something failed, under the random references that events carry
-- (docs/decisions/outside-words.md). Gone with the person, or after 90 days. An auditor does not see it.
CREATE TABLE outside_words (
    ref     text        NOT NULL PRIMARY KEY,
    account text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    words   text        NOT NULL,                   -- the sentence; on the next line the beginning of the answer
    said_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outside_words_account ON outside_words (account);
CREATE INDEX outside_words_old ON outside_words (said_at);

-- Every photo and video, from before its first byte. Without an owner it is to be deleted.
CREATE TABLE blobs (
    blob    text        NOT NULL PRIMARY KEY,       -- key in the blob store
    account text        REFERENCES accounts ON DELETE SET NULL,
    used_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- last; infinity: a video, or an order's photo
    stored_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    size_bytes bigint      NOT NULL DEFAULT 0,      -- of a photo
    logged     boolean     NOT NULL DEFAULT false   -- the log may name it: swept, it leaves a mark
);
CREATE INDEX blobs_account ON blobs (account);
CREATE INDEX blobs_unused ON blobs (used_at) WHERE used_at < 'infinity';
CREATE INDEX blobs_kept ON blobs (stored_at) WHERE used_at = 'infinity';

-- What was deleted on purpose of the files that the log names: one that is gone and has no row here is missing
-- (docs/decisions/retention.md). Written before the file goes, and kept as long as the log.
CREATE TABLE swept_blobs (
    blob     text        NOT NULL PRIMARY KEY,
    sha256   text        CHECK (sha256 ~ '^[0-9a-f]{64}$'),  -- of the bytes as they went; NULL: they were not read
    swept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    why      text        NOT NULL CHECK (why IN ('age', 'missing', 'erased')),  -- missing: of age, and not there any more
    CHECK ((why = 'age') = (sha256 IS NOT NULL))
);
CREATE TRIGGER swept_blobs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON swept_blobs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- A draft is an order before it is confirmed; its id is the order's id and idempotency key ever after. One that is not
-- ordered is the account's only one. docs/decisions/order-card.md says who may edit its card.
CREATE TABLE drafts (
    draft      text        NOT NULL PRIMARY KEY,
    account    text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    chat_id    bigint      NOT NULL,
    message_id bigint,                              -- the card, which becomes the status message; not sent yet: NULL
    photo      text        NOT NULL,                -- blob key
    photo_file text        NOT NULL,                -- the photo as Telegram has it; empty: not as a photo
    photo_message bigint   NOT NULL,                -- the message it came with
    album      text        NOT NULL,                -- the album it came in; its other photos are left aside
    brief      text        NOT NULL REFERENCES texts (ref) ON DELETE CASCADE,
    style      text        NOT NULL,
    model      text        NOT NULL,
    format     text        NOT NULL,
    seconds    bigint      NOT NULL,
    number     bigint      NOT NULL,                -- of videos
    price      bigint      NOT NULL,                -- credits per video
    jobs       text[]      NOT NULL,                -- ids of the jobs to be, made when it is confirmed
    view       text        NOT NULL,                -- what the card asks for
    browsed    text        NOT NULL DEFAULT '',     -- the style that is looked at; empty: the chosen one
    example    text        NOT NULL DEFAULT '',     -- the style whose example the card shows; empty: the photo
    noted      boolean     NOT NULL DEFAULT false,  -- the card says something that more credits do not change
    offered    json,                                -- a text or photo about which the person is asked
    version    bigint      NOT NULL,                -- raised by each change of what would be ordered
    shown      bigint      NOT NULL,                -- the version that the card shows
    changed_by bigint      NOT NULL,                -- the update that made the newest version
    confirmed  boolean     NOT NULL,                -- the order is being placed: nothing of it changes any more
    ordered    boolean     NOT NULL,
    product_message bigint NOT NULL,                -- the message whose words are the product; edited, they change
    wishes_message  bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at    timestamptz NOT NULL DEFAULT clock_timestamp()  -- last read by the bot
);
CREATE UNIQUE INDEX drafts_open ON drafts (account) WHERE NOT ordered;
CREATE INDEX drafts_account ON drafts (account, created_at DESC);
CREATE INDEX drafts_brief ON drafts (brief);
CREATE INDEX drafts_photo ON drafts (photo);
CREATE INDEX drafts_unused ON drafts (used_at) WHERE NOT ordered;
CREATE INDEX drafts_of_orders ON drafts (used_at) WHERE ordered;

-- What a person's next message is waited for, beside the order in the making: a receipt's address, a promo code, what to do
-- with a photo that came before the terms.
CREATE TABLE chat_states (
    telegram_id bigint     NOT NULL PRIMARY KEY REFERENCES accounts (telegram_id) ON DELETE CASCADE,
    state      text,
    data       json        NOT NULL DEFAULT '{}',
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    again_hour bigint      NOT NULL DEFAULT 0,      -- the hour, since 1970, in which videos were sent again so often
    again_times int        NOT NULL DEFAULT 0
);
CREATE INDEX chat_states_early ON chat_states (changed_at) WHERE data -> 'early' IS NOT NULL;

-- Who asked to be told when videos can be made again, the newest order of each (docs/decisions/reminders.md).
CREATE TABLE notice_requests (
    account  text        NOT NULL PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    draft    text        NOT NULL,                  -- the order it is about; empty: none
    asked_by bigint      NOT NULL,                  -- the update that asked
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX notice_requests_old ON notice_requests (asked_at);

-- What was judged before an order, so that asking ten times is asking once, also over a restart. A verdict
-- belongs to the exact text (by its hash) or to the exact photo (by its blob key, whose bytes never change),
-- not to an order: a changed text is another content. Erased with the person.
CREATE TABLE verdicts (
    account   text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    content   text        NOT NULL,                 -- `text:<sha256>` or the photo's blob key
    kinds     text[]      NOT NULL,                 -- what is wrong with it; empty: nothing
    judged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, content)
);
CREATE INDEX verdicts_old ON verdicts (judged_at);

-- Promo codes that did not work, as tried in the chat: so that nobody guesses them by the thousand.
CREATE TABLE wrong_codes (
    account  text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    tried_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX wrong_codes_account ON wrong_codes (account, tried_at);

-- The bot's inbox: an update is written here before Telegram is told that we have it, and deleted when it has
-- been handled. Personal data: gone within seconds, or, when parked, within PARKED_DAYS (services/bot/inbox).
CREATE TABLE updates (
    update_id   bigint      NOT NULL PRIMARY KEY,  -- below 0: from the notifier, about the balance on the chat's card
    chat_id     bigint      NOT NULL,               -- updates of one chat are handled in order of update_id
    user_id     bigint,
    urgent      boolean     NOT NULL DEFAULT false, -- about money: in a lane of its own, never left out
    body        json        NOT NULL,               -- the Update as Telegram sent it
    begun       int         NOT NULL DEFAULT 0,     -- processes that took it in hand; many: it kills them
    failures    int         NOT NULL DEFAULT 0,     -- times its handler raised
    dropped     int         NOT NULL DEFAULT 0,     -- earlier ones of its chat that were left out as a flood
    error       text,                               -- of the last failure
    parked_at   timestamptz,                        -- given up; kept for an operator to see
    troubled_at timestamptz,                        -- since when the surroundings keep it from being handled; the person knows
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX updates_waiting ON updates (urgent, chat_id, update_id) WHERE parked_at IS NULL;
CREATE INDEX updates_parked ON updates (parked_at) WHERE parked_at IS NOT NULL;

-- Which run of which bot has a chat's lane in hand, and until when. A free row stays for minutes: it tells the next one of the last.
CREATE TABLE chat_claims (
    chat_id       bigint      NOT NULL,
    urgent        boolean     NOT NULL,
    owner         uuid,                             -- free: NULL
    until         timestamptz NOT NULL,             -- the lease's end, or since when it is free
    last_tap      text        NOT NULL DEFAULT '',  -- the button tapped last, if nothing else came since
    flood_told_at timestamptz,
    PRIMARY KEY (chat_id, urgent)
);
CREATE INDEX chat_claims_owner ON chat_claims (owner);

-- Numbers of the updates of the last two days: what Telegram sends again is known, also when it has been handled and is gone.
CREATE TABLE seen_updates (
    update_id bigint      NOT NULL PRIMARY KEY,
    seen_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX seen_updates_at ON seen_updates (seen_at);

-- Keep updates; those seen before are left out. Of a chat's ordinary updates that nobody has begun the newest 20 stay; how many others
-- went is counted on the oldest that stays, which cannot be begun before: all of them are locked. How many went. Who stores needs no
-- other right here: web, which strangers reach, reads and changes nothing of what people write.
CREATE FUNCTION ledger.store_updates(
    p_ids bigint[], p_chats bigint[], p_users bigint[], p_urgent boolean[], p_bodies text[]
) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    per_chat constant int := 20;
    went bigint;
BEGIN
    WITH fresh AS (
        INSERT INTO public.seen_updates (update_id) SELECT DISTINCT i FROM unnest(p_ids) AS i ORDER BY i
        ON CONFLICT DO NOTHING RETURNING update_id
    )
    INSERT INTO public.updates (update_id, chat_id, user_id, urgent, body)
    SELECT i, c, p, u, b::json
    FROM unnest(p_ids, p_chats, p_users, p_urgent, p_bodies) AS t (i, c, p, u, b) JOIN fresh ON update_id = i ORDER BY i
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    WITH waiting AS (
        SELECT update_id, chat_id FROM public.updates
        WHERE chat_id = ANY (p_chats) AND NOT urgent AND parked_at IS NULL AND begun = 0 AND update_id > 0
        FOR UPDATE SKIP LOCKED
    ), ranked AS (
        SELECT update_id, chat_id, row_number() OVER (PARTITION BY chat_id ORDER BY update_id DESC) AS age FROM waiting
    ), gone AS (
        DELETE FROM public.updates USING ranked WHERE updates.update_id = ranked.update_id AND age > per_chat
        RETURNING updates.chat_id, 1 + updates.dropped AS lost
    ), counted AS (
        UPDATE public.updates SET dropped = dropped + by_chat.lost
        FROM ranked JOIN (SELECT chat_id, sum(lost) AS lost FROM gone GROUP BY chat_id) AS by_chat USING (chat_id)
        WHERE updates.update_id = ranked.update_id AND age = per_chat
    )
    SELECT count(*) INTO went FROM gone;
    PERFORM pg_notify('neurocards_updates', CASE WHEN u THEN 'urgent' ELSE 'ordinary' END)
    FROM (SELECT DISTINCT u FROM unnest(p_urgent) AS u) AS lanes;
    RETURN went;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON updates TO neurocards_log;
GRANT SELECT, INSERT ON seen_updates TO neurocards_log;
ALTER FUNCTION ledger.store_updates OWNER TO neurocards_log;
REVOKE ALL ON FUNCTION ledger.store_updates FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.store_updates TO neurocards_web, neurocards_bot;

-- Who was erased and came back gets no second welcome, uses no code again and owes what they owed: keyed hashes of the
-- Telegram id, alone or with a code, and nothing else, no time either: it would say which account's erasure it was.
-- The key (FORGET_SECRET) is not in the database.
CREATE TABLE forgotten (
    person bytea  NOT NULL PRIMARY KEY CHECK (length(person) = 32),
    debt   bigint NOT NULL DEFAULT 0 CHECK (debt >= 0)   -- credits
);

-- Who looked at a person's data with our program: written before it is shown, under a login and a time that are Postgres'
-- own words, as nobody may write these columns. Kept for READS_KEEP_DAYS, and whoever deletes, 90 days.
CREATE TABLE person_reads (
    number  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    read_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    login   text        NOT NULL DEFAULT session_user,
    actor   text        NOT NULL DEFAULT '',        -- an admin's account, for whom the bot read
    what    text        NOT NULL,                   -- the command
    account text        NOT NULL,                   -- whose data; stays when they are erased
    reason  text        NOT NULL DEFAULT ''
);
CREATE INDEX person_reads_at ON person_reads (read_at);
CREATE TRIGGER person_reads_append_only BEFORE UPDATE OR TRUNCATE ON person_reads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER person_reads_kept BEFORE DELETE ON person_reads
    FOR EACH ROW WHEN (OLD.read_at > clock_timestamp() - interval '90 days') EXECUTE FUNCTION refuse_rewriting();

GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, texts, blobs, drafts, chat_states, notice_requests TO neurocards_app;
GRANT SELECT, UPDATE, DELETE ON updates TO neurocards_bot, neurocards_operator;
GRANT INSERT ON updates TO neurocards_notifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON chat_claims TO neurocards_bot;
GRANT SELECT, DELETE ON chat_claims TO neurocards_operator;
GRANT SELECT, DELETE ON seen_updates TO neurocards_bot;
GRANT SELECT, INSERT, DELETE ON outside_words, verdicts, wrong_codes TO neurocards_app;
GRANT SELECT, INSERT, UPDATE ON forgotten TO neurocards_app;
GRANT SELECT ON swept_blobs, person_reads TO neurocards_reader;
GRANT INSERT (actor, what, account, reason) ON person_reads TO neurocards_bot, neurocards_operator, neurocards_dashboard;
-- What pages show of people, and no more: whose account it is, what they wrote, what a company said about it.
GRANT SELECT (account, telegram_id, locale, created_at) ON accounts TO neurocards_dashboard;
GRANT SELECT ON texts, outside_words TO neurocards_dashboard;
GRANT SELECT (update_id, urgent, received_at, parked_at) ON updates TO neurocards_dashboard;
GRANT DELETE ON person_reads TO neurocards_maintenance;
GRANT INSERT ON swept_blobs TO neurocards_maintenance, neurocards_operator;
GRANT INSERT (blob, why) ON swept_blobs TO neurocards_bot;
