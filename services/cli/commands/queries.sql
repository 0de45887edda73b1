-- name: outside_words
-- What companies said that is still kept, noted as read. $1 references, $2 command, $3 why
WITH said AS (
    SELECT ref, account, words FROM outside_words WHERE ref = ANY ($1::text[])
), noted AS (
    INSERT INTO person_reads (what, account, reason) SELECT DISTINCT $2, account, $3 FROM said
)
SELECT ref, words FROM said

-- name: account_of_telegram
-- Whose account it is, noted as read. $1 Telegram id, $2 command, $3 why
WITH found AS (
    SELECT account FROM accounts WHERE telegram_id = $1
), noted AS (
    INSERT INTO person_reads (what, account, reason) SELECT $2, account, $3 FROM found
)
SELECT account FROM found

-- name: receipt_of
-- $1 key
SELECT position, command_events, recorded_at_us, body_hash FROM events WHERE key = $1

-- name: open_jobs_of_model
-- How many unfinished jobs were ordered from a model. $1 model
SELECT count(*) FROM open_jobs JOIN events queued USING (position) WHERE queued.data ->> 'model' = $1

-- name: promo_codes
-- All promo codes, the newest first, with how often each was used and whether it is disabled.
SELECT c.data::text AS data, c.recorded_at_us,
       (SELECT count(*) FROM events u WHERE u.type = 'PromoRedeemed' AND u.stream = c.stream) AS used,
       EXISTS (SELECT FROM events d WHERE d.type = 'PromoDisabled' AND d.stream = c.stream) AS disabled
FROM events c WHERE c.type = 'PromoCreated' ORDER BY c.position DESC
