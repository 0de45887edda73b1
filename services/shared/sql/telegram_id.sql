-- $1 account
SELECT telegram_id FROM accounts WHERE account = $1
