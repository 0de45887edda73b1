-- name: account_of
-- The account of a Telegram user, made on first sight: unless what they sent was deleted with them meanwhile.
-- $1 the account to be, $2 Telegram id, $3 locale, $4 the update that came from them, if one did
WITH told AS MATERIALIZED (
    SELECT update_id FROM updates WHERE update_id = $4 FOR KEY SHARE
), made AS (
    INSERT INTO accounts (account, telegram_id, locale)
    SELECT $1, $2, $3 WHERE $4::bigint IS NULL OR EXISTS (SELECT FROM told)
    ON CONFLICT (telegram_id) DO UPDATE SET telegram_id = excluded.telegram_id
    RETURNING account, telegram_id, locale, person
)
SELECT account, telegram_id, locale, person FROM made
UNION ALL
SELECT account, telegram_id, locale, person FROM accounts WHERE telegram_id = $2 AND NOT EXISTS (SELECT FROM made)

-- name: blobs_erased
-- Files that the log names and that are about to be deleted, as their person was. $1 blobs
INSERT INTO swept_blobs (blob, why) SELECT unnest($1::text[]), 'erased' ON CONFLICT DO NOTHING

-- name: disown_blobs
-- Photos and videos that are nobody's from here on. $1 account
UPDATE blobs SET account = NULL, used_at = clock_timestamp() WHERE account = $1 RETURNING blob

-- name: draft
-- $1 draft
UPDATE drafts d SET used_at = clock_timestamp() FROM texts t WHERE d.draft = $1 AND t.ref = d.brief
RETURNING d.*, t.body::text AS words

-- name: draft_change
-- What would be ordered, as its next version; not from another version on, nor while it is being placed.
-- $1 draft, $2 version, $3 the update that changes it, $4 its words as JSON, $5..$17 the columns
WITH changed AS (
    UPDATE drafts
    SET version = version + 1, changed_by = $3, used_at = clock_timestamp(), offered = NULL,
        photo = $5, photo_file = $6, photo_message = $7, album = $8, style = $9, model = $10, format = $11,
        seconds = $12, number = $13, price = $14, view = $15, product_message = $16, wishes_message = $17
    WHERE draft = $1 AND version = $2 AND NOT confirmed AND NOT ordered RETURNING *
), said AS (
    UPDATE texts SET body = $4::text::json FROM changed WHERE ref = changed.brief
)
SELECT changed.*, $4::text AS words FROM changed

-- name: draft_confirm
-- The order is being placed: nothing of it changes from here on. $1 draft, $2 version, $3 ids of its jobs, $4 who is to make it,
-- $5 the update that places it
UPDATE drafts d SET confirmed = true, jobs = $3, model = $4, changed_by = $5, view = '', offered = NULL, version = version + 1
FROM texts t
WHERE d.draft = $1 AND d.version = $2 AND NOT d.confirmed AND NOT d.ordered AND t.ref = d.brief
RETURNING d.*, t.body::text AS words

-- name: draft_drop
-- A draft that is not being ordered, with its words. $1 draft
WITH gone AS MATERIALIZED (SELECT brief FROM drafts WHERE draft = $1 AND NOT confirmed AND NOT ordered FOR UPDATE)
DELETE FROM texts WHERE ref IN (SELECT brief FROM gone)

-- name: draft_look
-- $1 draft, $2 what the card asks for, $3 what the person is asked about, as JSON, $4 the style looked at; NULL: as before
UPDATE drafts d SET view = $2, offered = $3::text::json, browsed = coalesce($4, browsed) FROM texts t
WHERE d.draft = $1 AND NOT d.confirmed AND NOT d.ordered AND t.ref = d.brief
RETURNING d.*, t.body::text AS words

-- name: draft_make
-- A draft with its words, unless the account has one open. $1 draft, $2 account, $3 chat, $4 reference of its words, $5 they as
-- JSON, $6 the update that makes it, $7..$19 the columns
WITH free AS MATERIALIZED (
    SELECT 1 WHERE NOT EXISTS (SELECT FROM drafts WHERE account = $2 AND NOT ordered)
), said AS (
    INSERT INTO texts (ref, account, body) SELECT $4, $2, $5::text::json FROM free
), made AS (
    INSERT INTO drafts (draft, account, chat_id, brief, changed_by, photo, photo_file, photo_message, album, style, model,
                        format, seconds, number, price, view, product_message, wishes_message, jobs, version, shown,
                        confirmed, ordered)
    SELECT $1, $2, $3, $4, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, '{}', 1, 0, false, false
    FROM free
    ON CONFLICT DO NOTHING RETURNING *
)
SELECT made.*, $5::text AS words FROM made

-- name: draft_newest
-- The last order. $1 account
SELECT d.*, t.body::text AS words FROM drafts d JOIN texts t ON t.ref = d.brief
WHERE d.account = $1 AND d.ordered ORDER BY d.created_at DESC LIMIT 1

-- name: draft_open
-- The order in the making. $1 account
UPDATE drafts d SET used_at = clock_timestamp() FROM texts t WHERE d.account = $1 AND NOT d.ordered AND t.ref = d.brief
RETURNING d.*, t.body::text AS words

-- name: draft_reopen
-- It was refused for good, and can be changed again. $1 draft
UPDATE drafts d SET confirmed = false, jobs = '{}', version = version + 1 FROM texts t
WHERE d.draft = $1 AND d.confirmed AND NOT d.ordered AND t.ref = d.brief
RETURNING d.*, t.body::text AS words

-- name: draft_sent
-- The message that is the card, unless a bot that lost its turn tells of an older one. $1 draft, $2 message, $3 the photo as
-- Telegram has it, $4 the version it shows, $5 with which style's example, $6 whether it says what credits do not change
UPDATE drafts SET message_id = $2, photo_file = $3, shown = $4, example = $5, noted = $6 WHERE draft = $1 AND shown <= $4

-- name: drafts_with
-- Drafts whose words are from a message. $1 account, $2 message
SELECT d.*, t.body::text AS words FROM drafts d JOIN texts t ON t.ref = d.brief
WHERE d.account = $1 AND $2 IN (d.product_message, d.wishes_message)

-- name: files_logged
-- Files that the log names: where, SHA-256 and size where it has them, and the mark of one that was swept. As texts: rows that
-- somebody changed are said to be, and end nothing here.
SELECT f.position, f.blob, f.sha256, f.size_bytes, s.why, s.sha256 AS swept_sha256,
       s.swept_at < clock_timestamp() - interval '25 hours' AS settled,
       CASE s.why WHEN 'erased' THEN NOT EXISTS (
           SELECT FROM events q JOIN events a ON a.stream = 'account-' || (q.data ->> 'account') AND a.type = 'AccountForgotten'
           WHERE q.stream = f.stream AND q.version = 1) END AS unasked
FROM (
    SELECT position, stream, data -> 'video' ->> 'blob' AS blob, data -> 'video' ->> 'sha256' AS sha256,
           data -> 'video' ->> 'size_bytes' AS size_bytes
    FROM events WHERE type IN ('JobSucceeded', 'VideoGifted')
    UNION ALL
    SELECT min(position), min(stream), data ->> 'photo', NULL, NULL FROM events WHERE type = 'JobQueued' GROUP BY 3
) AS f LEFT JOIN swept_blobs s ON s.blob = f.blob
WHERE f.blob IS NOT NULL
ORDER BY f.position

-- name: forget_account
-- Whose account it was, with all that refers to it, and what was sent to them. $1 account
WITH unlinked AS (
    DELETE FROM accounts WHERE account = $1
), silenced AS (
    UPDATE deliveries SET state = CASE WHEN state IN ('pending', 'sending') THEN 'skipped' ELSE state END,
                          message_id = NULL, file_id = NULL, last_error = NULL
    WHERE account = $1
)
UPDATE status_messages SET abandoned = true, last_error = NULL WHERE account = $1

-- name: forget_updates
-- Messages that wait to be handled, or were parked, unless they are back already. $1 Telegram id, $2 account
DELETE FROM updates WHERE (user_id = $1 OR chat_id = $1)
  AND EXISTS (SELECT FROM accounts WHERE account = $2 AND telegram_id = $1)

-- name: forget_claims
-- What the inbox remembers of a chat between two messages. A claim that is held goes minutes later, with all free ones. $1 Telegram id
DELETE FROM chat_claims WHERE chat_id = $1 AND until <= clock_timestamp()

-- name: invite_code
-- What stands in a person's link, $2 from the first time on. $1 account
UPDATE accounts SET invite = coalesce(invite, $2) WHERE account = $1 RETURNING invite

-- name: is_swept
-- $1 a blob
SELECT EXISTS (SELECT FROM swept_blobs WHERE blob = $1)

-- name: keep_words
-- What a company said, unless the person was erased. $1 reference, $2 account, $3 words
INSERT INTO outside_words (ref, account, words) SELECT $1, account, $3 FROM accounts WHERE account = $2 FOR KEY SHARE
RETURNING ref

-- name: mark_ordered
-- A draft has become an order, and keeps its photo; nobody has to tell its person that it works. $1 draft
WITH marked AS (
    UPDATE drafts SET ordered = true WHERE draft = $1 RETURNING photo, account
), told AS (
    DELETE FROM notice_requests r USING marked WHERE r.account = marked.account
)
UPDATE blobs SET used_at = 'infinity' FROM marked WHERE blob = marked.photo

-- name: note_read
-- $1 actor, $2 command, $3 account, $4 reason
INSERT INTO person_reads (actor, what, account, reason) VALUES ($1, $2, $3, $4)

-- name: notice_request
-- Somebody wants to be told when it works. $1 account, $2 the draft they would order, or nothing, $3 the update that asks
INSERT INTO notice_requests (account, draft, asked_by) VALUES ($1, $2, $3)
ON CONFLICT (account) DO UPDATE SET draft = $2, asked_by = $3, asked_at = clock_timestamp()

-- name: reads_today
-- How often a person's data was read so within a day. $1 account, $2 command
SELECT count(*) FROM person_reads WHERE account = $1 AND what = $2 AND read_at > clock_timestamp() - interval '1 day'

-- name: open_jobs_of
-- $1 account
SELECT job FROM open_jobs WHERE account = $1

-- name: order_show
-- A card without buttons was tapped: what is seen of it is older than the order. $1 order
UPDATE status_messages SET wanted = wanted + 1 WHERE subject = 'order' AND name = $1

-- name: own_photo
-- A photo that is about to be stored, unless what its person has stored within a day and what is not ordered would be more
-- than $4 bytes with it. $1 blob, $2 account, $3 its bytes
INSERT INTO blobs (blob, account, size_bytes)
SELECT $1, $2, $3
WHERE $3::bigint + (SELECT coalesce(sum(size_bytes), 0)::bigint FROM blobs
            WHERE account = $2 AND (stored_at > clock_timestamp() - interval '1 day' OR used_at < 'infinity')) <= $4
RETURNING blob

-- name: own_video
-- $1 a video that is about to be stored, $2 whose it is
INSERT INTO blobs (blob, account, used_at, logged) VALUES ($1, $2, 'infinity', true) ON CONFLICT DO NOTHING

-- name: personal_export
-- All that is held of a person, as JSON by table. $1 account, $2 at most so many rows of a table. Not the salt.
SELECT 'accounts' AS held, row_to_json(t)::text AS body
FROM (SELECT account, telegram_id, locale, reminders, invite, created_at, person FROM accounts WHERE account = $1) t
UNION ALL (SELECT 'texts', row_to_json(t)::text FROM texts t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'drafts', row_to_json(t)::text FROM drafts t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'blobs', row_to_json(t)::text FROM blobs t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'outside_words', row_to_json(t)::text FROM outside_words t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'chat_states', row_to_json(t)::text FROM chat_states t JOIN accounts USING (telegram_id) WHERE account = $1)
UNION ALL (SELECT 'notice_requests', row_to_json(t)::text FROM notice_requests t WHERE account = $1)
UNION ALL (SELECT 'verdicts', row_to_json(t)::text FROM verdicts t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'wrong_codes', row_to_json(t)::text FROM wrong_codes t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'updates', row_to_json(t)::text FROM updates t
           WHERE (SELECT telegram_id FROM accounts WHERE account = $1) IN (t.user_id, t.chat_id) LIMIT $2)
UNION ALL (SELECT 'chat_claims', row_to_json(t)::text FROM chat_claims t
           WHERE chat_id = (SELECT telegram_id FROM accounts WHERE account = $1))
UNION ALL (SELECT 'person_reads', json_build_object('read_at', read_at, 'what', what)::text
           FROM person_reads WHERE account = $1 ORDER BY number DESC LIMIT $2)
UNION ALL (SELECT 'payment_links', row_to_json(t)::text FROM payment_links t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'payment_requests', row_to_json(t)::text FROM payment_requests t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'payment_watch', row_to_json(t)::text FROM payment_watch t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'order_jobs', row_to_json(t)::text FROM order_jobs t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'status_messages', row_to_json(t)::text FROM status_messages t WHERE account = $1 LIMIT $2)
UNION ALL (SELECT 'deliveries', row_to_json(t)::text FROM deliveries t WHERE account = $1 LIMIT $2)

-- name: personal_data_of
-- What there is of the person behind an account, in counts. $1 account
SELECT EXISTS (SELECT FROM accounts WHERE account = $1) AS telegram_id_known,
       (SELECT count(*) FROM texts WHERE account = $1) AS texts,
       (SELECT count(*) FROM drafts WHERE account = $1) AS drafts,
       (SELECT count(*) FROM blobs WHERE account = $1) AS files,
       (SELECT count(*) FROM payment_links WHERE account = $1) AS payments,
       (SELECT count(*) FROM deliveries WHERE account = $1) AS messages,
       (SELECT count(*) FROM open_jobs WHERE account = $1) AS unfinished_jobs

-- name: persons
-- Of the people whose accounts are open: how many an account's opening names, and how many it names nobody for, since a
-- payment's metadata restored it
SELECT count(*) FILTER (WHERE e.data ->> 'person' <> '') AS named,
       count(*) FILTER (WHERE e.data ->> 'person' = '') AS restored
FROM accounts a JOIN events e ON e.stream = 'account-' || a.account AND e.version = 1

-- name: persons_amiss
-- Accounts that were opened for somebody else than their row says, and where. $1 at most so many
SELECT e.position, a.account
FROM accounts a JOIN events e ON e.stream = 'account-' || a.account AND e.version = 1
WHERE e.data ->> 'person' IS DISTINCT FROM encode(sha256(a.salt || int8send(a.telegram_id)), 'hex')
  AND (e.data ->> 'origin', e.data ->> 'person') IS DISTINCT FROM ('restored', '')
ORDER BY e.position LIMIT $1

-- name: remember_forgotten
-- $1 the person's keyed hash, $2 what they owe (NULL: as was known), $3 keyed hashes of the codes they used
WITH codes AS (
    INSERT INTO forgotten (person) SELECT unnest($3::bytea[]) ON CONFLICT DO NOTHING
)
INSERT INTO forgotten (person, debt) VALUES ($1, coalesce($2::bigint, 0))
ON CONFLICT (person) DO UPDATE SET debt = coalesce($2::bigint, forgotten.debt)

-- name: remembered
-- What is kept of who was erased. $1 keyed hashes of theirs, the newest secret's first
SELECT debt FROM forgotten WHERE person = ANY($1::bytea[]) ORDER BY array_position($1::bytea[], person) LIMIT 1

-- name: telegram_id
-- $1 account
SELECT telegram_id FROM accounts WHERE account = $1

-- name: texts
-- Texts that are still there. $1 their references
SELECT ref, body::text FROM texts WHERE ref = ANY ($1::text[])

-- name: use_blob
-- $1 a blob. NULL when it is nobody's (any more)
UPDATE blobs SET used_at = greatest(used_at, clock_timestamp()) WHERE blob = $1 AND account IS NOT NULL RETURNING blob

-- name: wrong_code_note
-- One more try in vain; those that do not count any more go. $1 account
WITH old AS (
    DELETE FROM wrong_codes WHERE account = $1 AND tried_at <= clock_timestamp() - interval '1 hour'
)
INSERT INTO wrong_codes (account) VALUES ($1)

-- name: wrong_codes
-- How many codes the account has tried in vain within the last hour. $1 account
SELECT count(*) FROM wrong_codes WHERE account = $1 AND tried_at > clock_timestamp() - interval '1 hour'
