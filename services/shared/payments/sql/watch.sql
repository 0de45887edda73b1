-- Look after a payment ($2 empty) or a refund. $1 payment, $2 refund, $3 account, $4 provider, $5 seconds until then
INSERT INTO payment_watch (payment, refund, account, provider, due_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5)) ON CONFLICT DO NOTHING
