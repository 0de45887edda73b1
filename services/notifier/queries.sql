-- name: bonuses_owe
-- Messages owed for an invitation's bonuses and for what an operator gave; one that is owed already stays as it is.
-- $1 positions of their grants
INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, refunded)
SELECT CASE given WHEN 'manual' THEN position::text ELSE invited END,
       CASE WHEN given = 'manual' THEN 'grant' WHEN account = invited THEN 'referred' ELSE 'referral' END,
       position, account, '', 1, 1, 'ru', credits
FROM (
    SELECT position, substr(stream, length('account-') + 1) AS account, data ->> 'kind' AS given,
           substr(data ->> 'reference', length('referral:') + 1) AS invited, (data ->> 'amount')::bigint AS credits
    FROM events WHERE position = ANY ($1)
) AS came
ORDER BY position
ON CONFLICT (job, kind) DO NOTHING

-- name: cards_outdated
-- Balances have changed: the bot, to which the card of an order in the making belongs, is told in the chat's inbox, by an update
-- without a body below 0. $1 accounts, $2 the last position of each
INSERT INTO updates (update_id, chat_id, user_id, body)
SELECT -moved.position, a.telegram_id, a.telegram_id, '{}'
FROM unnest($1::text[], $2::bigint[]) AS moved (account, position) JOIN accounts a USING (account)
WHERE EXISTS (SELECT FROM drafts d WHERE d.account = a.account AND NOT d.confirmed AND NOT d.ordered AND d.message_id IS NOT NULL)
FOR KEY SHARE OF a SKIP LOCKED
ON CONFLICT DO NOTHING

-- name: deliveries_claim
-- Take deliveries that are due: per account only the first that is not settled, so that their order is kept.
-- Whoever took one before and left it in 'sending' may have sent it. $1 at most so many, $2 lease in seconds
WITH turns AS MATERIALIZED (
    -- OFFSET 0 keeps the planner from looking for every account's first one before it takes $1 of them
    SELECT d.job, d.kind
    FROM (SELECT job, kind, account, position FROM deliveries
          WHERE state IN ('pending', 'sending') AND due_at <= now()
          ORDER BY due_at, position OFFSET 0) AS d
    WHERE d.position = (SELECT head.position FROM deliveries head
                        WHERE head.account = d.account AND head.state IN ('pending', 'sending')
                        ORDER BY head.position LIMIT 1)
    LIMIT $1
), due AS (
    SELECT d.job, d.kind, d.account, d.order_id FROM deliveries d JOIN turns USING (job, kind)
    WHERE d.state IN ('pending', 'sending') AND d.due_at <= now()
    FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries d
SET claims = d.claims + 1,
    unknown_sends = d.unknown_sends + (d.state = 'sending')::int,
    last_error = CASE WHEN d.state = 'sending' THEN 'the sender died or hung while sending' ELSE d.last_error END,
    state = 'pending',
    due_at = clock_timestamp() + make_interval(secs => $2)
FROM due
LEFT JOIN accounts a ON a.account = due.account
LEFT JOIN drafts o ON o.draft = due.order_id
LEFT JOIN texts t ON t.ref = o.brief
LEFT JOIN order_jobs j ON j.job = due.job
LEFT JOIN drafts w ON w.account = due.account AND NOT w.confirmed AND NOT w.ordered
LEFT JOIN payment_links l ON l.payment = due.job AND due.kind = 'paid'
LEFT JOIN status_messages s ON s.subject = 'payment' AND s.name = l.payment AND NOT s.abandoned
LEFT JOIN model_circuits m ON m.model = o.model AND m.state <> 'available'
WHERE d.job = due.job AND d.kind = due.kind
RETURNING w.draft AS waiting, coalesce(w.version, 0) AS waiting_version,
          CASE WHEN w.style <> '' AND w.shown = w.version THEN w.price * w.number ELSE 0 END AS waiting_price,
          d.job, d.kind, d.position, d.account, d.order_id, d.number, d.of_jobs,
          coalesce(a.locale, d.locale) AS locale, d.refunded, d.error_class, d.blob, d.size_bytes, d.as_link,
          d.claims, d.attempts, d.unknown_sends, a.telegram_id AS chat_id, o.draft IS NOT NULL AS repeatable,
          CASE WHEN s.name IS NOT NULL THEN l.message_id END AS status_message, s.shown >= s.wanted AS status_shown,
          extract(epoch FROM d.owed_at)::float8 AS owed_at_s,
          extract(epoch FROM clock_timestamp() - d.owed_at)::float8 AS age_s,
          d.kind NOT IN ('ending', 'left') OR coalesce(
              a.reminders AND d.owed_at > clock_timestamp() - interval '1 hour'
              AND (d.kind = 'ending' OR NOT o.confirmed AND NOT o.ordered AND o.used_at <= d.owed_at), false) AS wanted,
          CASE WHEN m.until_us > 0 THEN greatest(m.until_us / 1e6 - extract(epoch FROM clock_timestamp()), 0) END::float8
              AS rest_s,
          -- what came of an order answers its own card, whatever else is in the making
          coalesce(CASE WHEN d.kind NOT IN ('video', 'gift', 'failure') THEN w.message_id END, o.message_id, 0) AS card,
          coalesce(t.body ->> 'product', '') AS product,
          coalesce(j.style, '') AS style, coalesce(j.format, '') AS format, coalesce(j.seconds, 0) AS seconds,
          coalesce(o.photo, '') AS photo,
          EXISTS (SELECT FROM order_jobs k JOIN deliveries f ON f.job = k.job AND f.kind IN ('video', 'gift')
                  WHERE k.order_id = d.order_id AND f.state = 'sent') AS follows

-- name: deliveries_owe
-- Messages owed; one that is owed already stays as it is. $1..$12 their columns
INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, refunded, error_class,
                        blob, size_bytes)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                     $8::text[], $9::bigint[], $10::text[], $11::text[], $12::bigint[])
ON CONFLICT (job, kind) DO NOTHING

-- name: deliveries_pending
-- How many deliveries are not settled, and when the oldest of them was owed (epoch seconds, 0 without one)
SELECT count(*) AS pending, coalesce(extract(epoch FROM min(owed_at)), 0)::float8 AS oldest_at_s
FROM deliveries WHERE state IN ('pending', 'sending')

-- name: deliveries_renew
-- Keep what is being sent. $1 jobs, $2 kinds, $3 claims, $4 lease in seconds
UPDATE deliveries d SET due_at = clock_timestamp() + make_interval(secs => $4)
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS held (job, kind, claims)
WHERE d.job = held.job AND d.kind = held.kind AND d.claims = held.claims AND d.state IN ('pending', 'sending')

-- name: delivery_begin
-- Write down that a send begins, before it does; no row when the delivery is no longer ours to send.
-- $1 job, $2 kind, $3 claim
UPDATE deliveries SET state = 'sending', attempts = attempts + 1
WHERE job = $1 AND kind = $2 AND claims = $3 AND state = 'pending' AND unknown_sends < 2
RETURNING attempts

-- name: delivery_end
-- Never: failed or skipped. The order's status message says so then. $1 job, $2 kind, $3 claim, $4 state, $5 why
WITH ended AS (
    UPDATE deliveries SET state = $4, last_error = $5, settled_at = clock_timestamp()
    WHERE job = $1 AND kind = $2 AND claims = $3 AND state IN ('pending', 'sending')
    RETURNING job, order_id
), shown AS (
    UPDATE status_messages s SET wanted = s.wanted + 1
    FROM ended WHERE s.subject = 'order' AND s.name = ended.order_id
)
SELECT job FROM ended

-- name: delivery_retry
-- Not this time. $1 job, $2 kind, $3 claim, $4 wait in seconds, $5 why, $6 whether it may have arrived, $7 as a link from now on
UPDATE deliveries
SET state = 'pending', due_at = clock_timestamp() + make_interval(secs => $4), last_error = $5,
    unknown_sends = unknown_sends + $6::boolean::int, as_link = as_link OR $7
WHERE job = $1 AND kind = $2 AND claims = $3 AND state IN ('pending', 'sending')
RETURNING job

-- name: delivery_sent
-- It has arrived: a fact, recorded whoever holds the row by now; of one that is 'skipped' the person was erased, and
-- where it arrived is not. $1 job, $2 kind, $3 message id, $4 file id
UPDATE deliveries
SET state = 'sent', message_id = CASE WHEN state <> 'skipped' THEN $3::bigint END,
    file_id = CASE WHEN state <> 'skipped' THEN $4 END, last_error = NULL, settled_at = clock_timestamp()
WHERE job = $1 AND kind = $2 AND state <> 'sent'
RETURNING job

-- name: events_before
-- What happened on streams before a version of each, in order. $1 streams, $2 their versions
SELECT e.stream, e.version, e.type, e.recorded_at_us
FROM unnest($1::text[], $2::bigint[]) AS wanted (stream, version)
JOIN events e ON e.stream = wanted.stream AND e.version < wanted.version
ORDER BY e.stream, e.version

-- name: lines
-- The status lines of some jobs. $1 jobs
SELECT job, order_id, account, number, of_jobs, price, locale, state, style, format, seconds, position, rendering_us,
       usual_s, floor_percent, stars
FROM order_jobs WHERE job = ANY ($1)

-- name: lines_put
-- New and moved status lines. $1..$16 their columns
INSERT INTO order_jobs (job, order_id, account, number, of_jobs, price, locale, state, style, format, seconds, position,
                        rendering_us, usual_s, floor_percent, stars)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[],
                     $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::float8[],
                     $15::bigint[], $16::bigint[])
ON CONFLICT (job) DO UPDATE
SET state = excluded.state, rendering_us = excluded.rendering_us, usual_s = excluded.usual_s,
    floor_percent = excluded.floor_percent, stars = excluded.stars

-- name: offers_over
-- Orders are placed: what was paid on the way to one offers it no more. $1 positions of JobQueued
UPDATE status_messages s SET wanted = s.wanted + 1
FROM payment_links l, events e
WHERE e.position = ANY ($1) AND l.account = e.data ->> 'account' AND l.draft = e.data ->> 'order'
  AND s.subject = 'payment' AND s.name = l.payment

-- name: payment_links
-- Where payments are paid, the order in the making, which from now on is the one they are for, and why the provider said no.
-- $1 payments
UPDATE payment_links l SET draft = coalesce(w.draft, l.draft)
FROM payment_links p
LEFT JOIN drafts w ON w.account = p.account AND NOT w.confirmed AND NOT w.ordered
LEFT JOIN drafts o ON o.draft = p.draft AND o.confirmed
WHERE p.payment = ANY ($1) AND l.payment = p.payment
RETURNING w.draft AS waiting, coalesce(w.version, 0) AS waiting_version,
          CASE WHEN w.style <> '' AND w.shown = w.version THEN w.price * w.number ELSE 0 END AS waiting_price,
          l.payment, l.confirmation_url,
          coalesce((SELECT e.data ->> 'reason' FROM events e
                    WHERE e.stream = 'payment-' || l.payment AND e.type = 'PaymentCancelled'
                    ORDER BY e.version DESC LIMIT 1), '') AS cancelled_for,
          o.draft IS NOT NULL AS over

-- name: payments_owe
-- Messages owed for money that came; one that is owed already stays as it is. $1 positions of PaymentSucceeded
INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, refunded)
SELECT payment, CASE WHEN before THEN 'paid_again' ELSE 'paid' END, position, account, payment, 1, 1, locale, credits
FROM (
    SELECT s.position, substr(s.stream, length('payment-') + 1) AS payment, o.data ->> 'account' AS account,
           o.data ->> 'locale' AS locale, (o.data ->> 'credits')::bigint AS credits,
           EXISTS (SELECT FROM events e WHERE e.stream = s.stream AND e.type = 'PaymentSucceeded'
                                          AND e.version < s.version) AS before
    FROM events s JOIN events o ON o.stream = s.stream AND o.version = 1 AND o.type = 'PaymentOrdered'
    WHERE s.position = ANY ($1)
) AS came
ORDER BY position
ON CONFLICT (job, kind) DO NOTHING

-- name: payments_want
-- The status messages of these payments have something new to show. $1 streams
INSERT INTO status_messages AS s (subject, name, account)
SELECT 'payment', substr(stream, length('payment-') + 1), data ->> 'account' FROM events
WHERE stream = ANY ($1) AND version = 1 AND type = 'PaymentOrdered'
ORDER BY stream
ON CONFLICT (subject, name) DO UPDATE SET wanted = s.wanted + 1

-- name: status_abandon
-- The message cannot be edited any more. $1 subject, $2 name, $3 claim, $4 why
UPDATE status_messages SET abandoned = true, last_error = $4 WHERE subject = $1 AND name = $2 AND claims = $3

-- name: status_lines
-- What the status messages of orders show, job by job; `lost` when a video was made and could not be handed over,
-- `ahead` of one that waits: about how many that nobody was asked for yet have their turn before it, at most 101. $1 orders
SELECT j.order_id, j.locale, j.style, j.format, j.seconds, coalesce(t.body ->> 'product', '') AS product,
       j.job, j.number, j.state,
       coalesce(d.state = 'failed', false) AS lost, coalesce(d.blob, '') AS blob,
       coalesce(extract(epoch FROM d.owed_at), 0)::float8 AS owed_at_s,
       CASE WHEN j.state IN ('queued', 'waiting') THEN (
           SELECT count(*) FROM (
               SELECT FROM order_jobs b
               WHERE b.state IN ('queued', 'writing', 'waiting') AND (b.turn, b.position) < (j.turn, j.position)
               LIMIT 101) AS before)
       ELSE 0 END AS ahead,
       (extract(epoch FROM clock_timestamp()) - j.rendering_us / 1e6)::float8 AS elapsed_s, j.usual_s, j.floor_percent,
       j.stars
FROM order_jobs j
LEFT JOIN drafts o ON o.draft = j.order_id
LEFT JOIN texts t ON t.ref = o.brief
LEFT JOIN deliveries d ON d.job = j.job AND d.kind = CASE j.state WHEN 'done' THEN 'video' WHEN 'gifted' THEN 'gift' END
WHERE j.order_id = ANY ($1) ORDER BY j.order_id, j.number

-- name: status_retry
-- Not this time. $1 subject, $2 name, $3 claim, $4 wait in seconds, $5 why, $6 whether it counts as a failed attempt
UPDATE status_messages
SET due_at = clock_timestamp() + make_interval(secs => $4), last_error = $5, attempts = attempts + $6::boolean::int
WHERE subject = $1 AND name = $2 AND claims = $3 AND NOT abandoned

-- name: status_shown
-- An edit went through. If someone else took the row meanwhile, a newer edit may lie under ours: edit once more.
-- $1 subject, $2 name, $3 claim, $4 version shown, $5 seconds until the next edit, $6 until time alone changes it, or NULL
UPDATE status_messages
SET shown = CASE WHEN claims = $3 THEN $4 ELSE 0 END, attempts = 0, last_error = NULL,
    due_at = clock_timestamp() + make_interval(secs => $5),
    tick_at = clock_timestamp() + make_interval(secs => $6::float8)
WHERE subject = $1 AND name = $2

-- name: statuses_claim
-- Take status messages that show less than they should, or what time has changed (`tick`). $1 subject, $2 at most so
-- many, $3 lease in seconds
WITH due AS (
    SELECT s.subject, s.name, s.account FROM status_messages s
    WHERE s.subject = $1 AND (s.wanted > s.shown OR s.tick_at IS NOT NULL) AND NOT s.abandoned AND s.due_at <= now()
      AND (s.wanted > s.shown OR s.tick_at <= now())
    ORDER BY s.due_at LIMIT $2
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE status_messages s
SET claims = s.claims + 1, due_at = clock_timestamp() + make_interval(secs => $3)
FROM due
LEFT JOIN accounts a ON a.account = due.account
LEFT JOIN drafts o ON o.draft = due.name AND due.subject = 'order'
LEFT JOIN payment_links l ON l.payment = due.name AND due.subject = 'payment'
WHERE s.subject = due.subject AND s.name = due.name
RETURNING s.name, s.wanted AS version, s.wanted = s.shown AS tick, s.claims, s.attempts, a.telegram_id IS NOT NULL AS known, a.locale,
          coalesce(o.chat_id, l.chat_id) AS chat_id, coalesce(o.message_id, l.message_id) AS message_id

-- name: statuses_want
-- Status messages have something new to show. $1 subject, $2 names, $3 their accounts
INSERT INTO status_messages AS s (subject, name, account)
SELECT $1, * FROM unnest($2::text[], $3::text[])
ON CONFLICT (subject, name) DO UPDATE SET wanted = s.wanted + 1

-- name: turns_put
-- When the turn of a new line comes, as services/generation/provider_turn.lua counts: one after its seller's last that waits, or with
-- the first of all. $1 jobs
WITH new AS MATERIALIZED (
    SELECT job, account, row_number() OVER (PARTITION BY account ORDER BY position) AS nth
    FROM order_jobs WHERE job = ANY ($1) AND turn = 0
), last AS (
    SELECT account, max(turn) AS turn FROM order_jobs
    WHERE state IN ('queued', 'writing', 'waiting') AND account IN (SELECT account FROM new) GROUP BY account
)
UPDATE order_jobs j
SET turn = new.nth + greatest(last.turn, (SELECT min(turn) - 1 FROM order_jobs
                                          WHERE state IN ('queued', 'writing', 'waiting') AND turn > 0), 0)
FROM new LEFT JOIN last USING (account)
WHERE j.job = new.job
