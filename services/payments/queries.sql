-- name: ask
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

-- name: comparison_begin
-- A comparison, unless one of this provider's was made within $3 seconds, or has been going on for less than ten
-- minutes and those; not one that a clock ahead has dated. $1 provider, $2 days back
INSERT INTO payment_comparisons (provider, since)
SELECT $1, clock_timestamp() - make_interval(days => $2)
WHERE NOT EXISTS (
    SELECT FROM payment_comparisons
    WHERE provider = $1 AND began_at > clock_timestamp() - make_interval(
        secs => CASE WHEN ended_at IS NULL THEN least($3, 600) ELSE $3 END
    ) AND began_at <= clock_timestamp()
)
RETURNING comparison, since

-- name: comparison_end
-- $1 comparison, $2 payments and $3 refunds compared
UPDATE payment_comparisons SET ended_at = clock_timestamp(), payments = $2, refunds = $3 WHERE comparison = $1

-- name: difference_add
-- $1 comparison; then its columns in order
INSERT INTO payment_differences (
    comparison, kind, object, payment, provider_payment, provider_refund, ours_minor, theirs_minor, currency,
    repaired, note
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: due
-- Take what is due, and set when it is due again: after a quarter of its age, $2 to $3 seconds. $1 at most so many
UPDATE payment_watch w
SET reads = reads + 1,
    due_at = clock_timestamp() + make_interval(
        secs => least(greatest($2, extract(epoch FROM clock_timestamp() - opened_at) / 4), $3)
    )
FROM (
    SELECT payment, refund FROM payment_watch WHERE due_at <= clock_timestamp()
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
) taken
WHERE w.payment = taken.payment AND w.refund = taken.refund
RETURNING w.payment, w.refund, w.account, w.provider,
          extract(epoch FROM clock_timestamp() - w.opened_at)::float8 AS age_s

-- name: link
-- $1 payment
SELECT payment, account, contact, confirmation_url, chat_id, message_id, draft FROM payment_links WHERE payment = $1

-- name: looked
-- The provider has let us read it: what we were told of it is settled. $1 payment
UPDATE payment_watch SET told_at = NULL WHERE payment = $1 AND told_at IS NOT NULL

-- name: open_payment
-- Before the ledger is asked: the payment's person and chat, and that it is to be looked after. $1 payment,
-- $2 account, $3 provider, $4 contact, $5 chat, $6 message, $7 draft, $8 seconds until the first look
WITH linked AS (
    INSERT INTO payment_links (payment, account, contact, chat_id, message_id, draft)
    SELECT $1, account, $4, $5, $6, $7 FROM accounts WHERE account = $2 FOR KEY SHARE
    ON CONFLICT DO NOTHING
)
INSERT INTO payment_watch (payment, account, provider, due_at)
VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $8)) ON CONFLICT DO NOTHING

-- name: payment_of
-- Our payment that money came for. $1 the provider's id of it, $2 provider
SELECT substr(stream, length('payment-') + 1) FROM events
WHERE type = 'PaymentSucceeded' AND data ->> 'provider_payment' = $1 AND data ->> 'provider' = $2

-- name: refund_known
-- Whether this refund of the provider's stands in the ledger. $1 the provider's id of it
SELECT EXISTS (SELECT FROM events WHERE type = 'PaymentRefunded' AND data ->> 'provider_refund' = $1)

-- name: refunded_since
-- Money that the ledger says has gone back since a time. $1 provider, $2 since
SELECT substr(r.stream, length('payment-') + 1) AS payment, r.data ->> 'provider_payment' AS provider_payment,
       r.data ->> 'provider_refund' AS provider_refund, (r.data ->> 'amount_minor')::bigint AS amount_minor
FROM events r
JOIN events o ON o.stream = r.stream AND o.version = 1 AND o.type = 'PaymentOrdered'
WHERE r.type = 'PaymentRefunded' AND o.data ->> 'provider' = $1
  AND r.recorded_at_us >= (extract(epoch FROM $2::timestamptz) * 1000000)::bigint

-- name: rewatch_payments
-- Orders of the last $1 days that nobody looks after although they are not final: look at them at once
INSERT INTO payment_watch (payment, account, provider, opened_at, due_at)
SELECT substr(o.stream, length('payment-') + 1), o.data ->> 'account', o.data ->> 'provider',
       to_timestamp(o.recorded_at_us / 1e6), clock_timestamp()
FROM events o
WHERE o.type = 'PaymentOrdered'
  AND o.recorded_at_us > (extract(epoch FROM clock_timestamp() - make_interval(days => $1)) * 1000000)::bigint
  AND NOT EXISTS (
      SELECT FROM events e
      WHERE e.stream = o.stream AND e.type IN ('PaymentSucceeded', 'PaymentCancelled', 'PaymentExpired')
  )
ON CONFLICT DO NOTHING

-- name: rewatch_refunds
-- Refunds that were intended in the last $1 days and whose outcome is open, though nobody looks after them
INSERT INTO payment_watch (payment, refund, account, provider, opened_at, due_at)
SELECT substr(i.stream, length('payment-') + 1), i.data ->> 'refund', o.data ->> 'account', o.data ->> 'provider',
       to_timestamp(i.recorded_at_us / 1e6), clock_timestamp()
FROM events o
JOIN events i ON i.stream = o.stream AND i.type = 'RefundIntended'
WHERE o.type = 'PaymentOrdered'
  AND i.recorded_at_us > (extract(epoch FROM clock_timestamp() - make_interval(days => $1)) * 1000000)::bigint
  AND NOT EXISTS (
      SELECT FROM events e
      WHERE e.stream = i.stream AND e.type IN ('PaymentRefunded', 'RefundFailed')
        AND e.data ->> 'refund' = i.data ->> 'refund'
  )
ON CONFLICT DO NOTHING

-- name: set_message
-- $1 payment, $2 chat, $3 message
UPDATE payment_links SET chat_id = $2, message_id = $3 WHERE payment = $1

-- name: set_url
-- $1 payment, $2 where the provider takes the money
UPDATE payment_links SET confirmation_url = $2 WHERE payment = $1 AND confirmation_url IS DISTINCT FROM $2

-- name: succeeded_since
-- Money that the ledger says has come since a time. $1 provider, $2 since
SELECT substr(stream, length('payment-') + 1) AS payment, data ->> 'provider_payment' AS provider_payment,
       (data ->> 'amount_minor')::bigint AS amount_minor
FROM events
WHERE type = 'PaymentSucceeded' AND data ->> 'provider' = $1
  AND recorded_at_us >= (extract(epoch FROM $2::timestamptz) * 1000000)::bigint

-- name: tell
-- We were told that a payment was paid and could not look: since when, and that maintenance looks at once.
-- $1 the provider's id of it
UPDATE payment_watch w SET told_at = coalesce(w.told_at, clock_timestamp()), due_at = clock_timestamp()
WHERE w.refund = '' AND EXISTS (
    SELECT FROM events e
    WHERE e.stream = 'payment-' || w.payment AND e.type = 'PaymentCreated' AND e.data ->> 'provider_payment' = $1)

-- name: unopen
-- The payment was not ordered after all. $1 payment
WITH unlinked AS (DELETE FROM payment_links WHERE payment = $1)
DELETE FROM payment_watch WHERE payment = $1 AND refund = ''

-- name: unwatch
-- It is final. $1 payment, $2 refund
DELETE FROM payment_watch WHERE payment = $1 AND refund = $2

-- name: watch
-- Look after a payment ($2 empty) or a refund. $1 payment, $2 refund, $3 account, $4 provider, $5 seconds until then
INSERT INTO payment_watch (payment, refund, account, provider, due_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5)) ON CONFLICT DO NOTHING
