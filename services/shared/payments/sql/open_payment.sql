-- Before the ledger is asked: the payment's person and chat, and that it is to be looked after. $1 payment,
-- $2 account, $3 provider, $4 contact, $5 chat, $6 message, $7 draft, $8 seconds until the first look
WITH linked AS (
    INSERT INTO payment_links (payment, account, contact, chat_id, message_id, draft)
    SELECT $1, account, $4, $5, $6, $7 FROM accounts WHERE account = $2 FOR KEY SHARE
    ON CONFLICT DO NOTHING
)
INSERT INTO payment_watch (payment, account, provider, due_at)
VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $8)) ON CONFLICT DO NOTHING
