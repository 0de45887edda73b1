-- About to ask the provider: the words to ask with, the first ever used, and for how many seconds it has been looked
-- after; NULL when it is not. No row for words with somebody's address who was erased.
-- $1 payment, $2 refund, $3 account, $4 the words if there are none yet, $5 whether the receipt's address is in them
WITH person AS MATERIALIZED (
    SELECT account FROM accounts WHERE account = $3 FOR KEY SHARE
), words AS (
    INSERT INTO payment_requests (payment, refund, account, request)
    SELECT $1, $2, (SELECT account FROM person), $4 WHERE NOT $5 OR EXISTS (SELECT FROM person)
    ON CONFLICT (payment, refund) DO UPDATE SET request = payment_requests.request
    RETURNING request
)
SELECT request, (
    SELECT extract(epoch FROM clock_timestamp() - opened_at)::float8 FROM payment_watch
    WHERE payment = $1 AND refund = $2
) AS age_s
FROM words
