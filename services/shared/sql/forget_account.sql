-- Whose account it was, their drafts, links to pay at and receipts, and what was sent to them. $1 account
WITH unlinked AS (
    UPDATE accounts SET telegram_id = NULL, locale = 'ru' WHERE account = $1
), drafts_gone AS (
    DELETE FROM drafts WHERE account = $1 RETURNING 1
), silenced AS (
    UPDATE deliveries SET state = CASE WHEN state IN ('pending', 'sending') THEN 'skipped' ELSE state END,
                          message_id = NULL, file_id = NULL, last_error = NULL
    WHERE account = $1 RETURNING 1
), unpaid AS (
    DELETE FROM payment_links WHERE account = $1 RETURNING 1
), unasked AS (
    DELETE FROM payment_requests WHERE account = $1
), untried AS (
    DELETE FROM wrong_codes WHERE account = $1
), unjudged AS (
    DELETE FROM verdicts WHERE account = $1
), statuses AS (
    UPDATE order_statuses SET abandoned = true, last_error = NULL WHERE account = $1
)
SELECT (SELECT count(*) FROM drafts_gone) AS drafts, (SELECT count(*) FROM unpaid) AS payments,
       (SELECT count(*) FROM silenced) AS messages
