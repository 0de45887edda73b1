-- Whose account it was, with all that refers to it, and what was sent to them. $1 account
WITH unlinked AS (
    DELETE FROM accounts WHERE account = $1
), silenced AS (
    UPDATE deliveries SET state = CASE WHEN state IN ('pending', 'sending') THEN 'skipped' ELSE state END,
                          message_id = NULL, file_id = NULL, last_error = NULL
    WHERE account = $1
), statuses AS (
    UPDATE order_statuses SET abandoned = true, last_error = NULL WHERE account = $1
)
UPDATE payment_statuses SET abandoned = true, last_error = NULL WHERE account = $1
