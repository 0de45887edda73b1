-- name: chat_data
-- $1 Telegram id
SELECT data::text FROM chat_states WHERE telegram_id = $1

-- name: chat_data_set
-- $1 Telegram id, $2 JSON
INSERT INTO chat_states (telegram_id, data) VALUES ($1, $2::text::json)
ON CONFLICT (telegram_id) DO UPDATE SET data = excluded.data, changed_at = excluded.changed_at

-- name: chat_state
-- What the next message of somebody is waited for. $1 Telegram id
SELECT state FROM chat_states WHERE telegram_id = $1

-- name: chat_state_set
-- $1 Telegram id, $2 state, NULL for none
INSERT INTO chat_states (telegram_id, state) VALUES ($1, $2)
ON CONFLICT (telegram_id) DO UPDATE SET state = excluded.state

-- name: chat_sent_again
-- Count a video sent again to $1, a Telegram id; how many within this hour.
INSERT INTO chat_states (telegram_id, again_hour, again_times)
VALUES ($1, extract(epoch FROM clock_timestamp())::bigint / 3600, 1)
ON CONFLICT (telegram_id) DO UPDATE SET
    again_times = CASE WHEN chat_states.again_hour = excluded.again_hour THEN chat_states.again_times ELSE 0 END + 1,
    again_hour = excluded.again_hour
RETURNING again_times

-- name: last_jobs
-- The last jobs charged to stream $1, newest first, at most $2.
SELECT data ->> 'job' AS job, recorded_at_us FROM events
WHERE stream = $1 AND type = 'CreditsCharged'
ORDER BY version DESC LIMIT $2

-- name: friends
-- How many invitations of an account were rewarded, and what it got for them. $1 its stream, $2 the reference of its own
SELECT count(*) AS friends, coalesce(sum((data ->> 'amount')::bigint), 0)::bigint AS credits FROM events
WHERE stream = $1 AND type = 'CreditsGranted' AND data ->> 'kind' = 'referral' AND data ->> 'reference' <> $2

-- name: operation_at
-- One movement of credits of an account. $1 its stream, $2 position
SELECT type, data::text FROM events WHERE stream = $1 AND position = $2 AND starts_with(type, 'Credits')

-- name: operations
-- What moved credits of an account, the newest first; an order's charges, and what came back of them, are one. `total`: how
-- many there are. $1 its stream, $2 at most so many, $3 after so many
WITH moved AS (
    SELECT e.position, e.type, e.data, e.recorded_at_us, coalesce(c.data, e.data) ->> 'order' AS ordered,
           (e.data ->> 'amount')::bigint
           * CASE WHEN e.type IN ('CreditsGranted', 'CreditsRefunded', 'CreditsRestored') THEN 1 ELSE -1 END AS amount
    FROM events e LEFT JOIN events c ON e.type = 'CreditsRefunded' AND c.type = 'CreditsCharged'
                                    AND c.data ->> 'job' = e.data ->> 'job'
    WHERE e.stream = $1 AND starts_with(e.type, 'Credits')
)
SELECT min(position) AS position, (array_agg(type ORDER BY position))[1] AS type,
       (array_agg(data::text ORDER BY position))[1] AS data, min(recorded_at_us) AS at_us, sum(amount)::bigint AS amount,
       count(*) FILTER (WHERE type = 'CreditsCharged') AS videos, count(*) FILTER (WHERE type = 'CreditsRefunded') AS failed,
       coalesce((array_agg(data ->> 'reason' ORDER BY position DESC) FILTER (WHERE type = 'CreditsRefunded'))[1], '') AS reason,
       count(*) OVER () AS total
FROM moved GROUP BY coalesce(ordered, position::text) ORDER BY 1 DESC LIMIT $2 OFFSET $3

-- name: payments
-- What an account ordered to buy, the newest first. $1 account, $2 at most so many, $3 after so many
SELECT credits, amount_minor, currency, ordered_at_us AS at_us, state, count(*) OVER () AS total
FROM payments WHERE account = $1 ORDER BY ordered_at_us DESC, payment LIMIT $2 OFFSET $3

-- name: video_at
-- Of an account's videos that can still be had, by Telegram's file or by ours: the newest that is not newer than a position.
-- `at`: which of `total` it is. $1 account, $2 position, $3 bytes that can be uploaded
WITH own AS (
    SELECT d.position, d.kind, d.job, d.order_id, d.number, d.of_jobs AS of, coalesce(d.file_id, '') AS file, d.blob,
           d.size_bytes, b.blob IS NOT NULL AND d.size_bytes <= $3 AS kept, row_number() OVER turn AS at,
           count(*) OVER () AS total, lag(d.position) OVER turn AS newer, lead(d.position) OVER turn AS older
    FROM deliveries d LEFT JOIN blobs b ON b.blob = d.blob AND b.account = d.account
    WHERE d.account = $1 AND d.kind IN ('video', 'gift')
      AND (d.file_id IS NOT NULL OR b.blob IS NOT NULL AND d.size_bytes <= $3)
    WINDOW turn AS (ORDER BY d.position DESC)
)
SELECT o.position, o.kind = 'gift' AS late, o.order_id, o.number, o.of, o.file, o.blob, o.size_bytes, o.kept, o.at, o.total,
       o.newer, o.older, e.recorded_at_us AS at_us, coalesce(q.data ->> 'style', '') AS style,
       coalesce(t.body ->> 'product', '') AS product, r.draft IS NOT NULL AS repeatable
FROM own o LEFT JOIN events e ON e.position = o.position
LEFT JOIN events q ON q.stream = 'job-' || o.job AND q.version = 1
LEFT JOIN drafts r ON r.draft = o.order_id LEFT JOIN texts t ON t.ref = r.brief
WHERE o.position <= $2 ORDER BY o.position DESC LIMIT 1

-- name: video_file
-- What Telegram calls a video that was uploaded once more, unless its person was erased. $1 account, $2 position, $3 file id
WITH person AS (SELECT FROM accounts WHERE account = $1 FOR KEY SHARE)
UPDATE deliveries SET file_id = $3 FROM person WHERE position = $2 AND deliveries.account = $1

-- name: verdict_keep
-- Remember a verdict; the first one stays. $1 account, $2 content, $3 kinds
INSERT INTO verdicts (account, content, kinds) VALUES ($1, $2, $3::text[]) ON CONFLICT DO NOTHING

-- name: verdicts
-- What is known of these contents. $1 account, $2 contents
SELECT content, kinds FROM verdicts WHERE account = $1 AND content = ANY ($2::text[])

-- name: welcomes_lock
-- Until this transaction ends nobody else counts welcome gifts. $1 a number of its own.
SELECT pg_advisory_xact_lock($1)

-- name: welcomes_since
-- Credits given with first agreements, and the last position looked at: from the start of day $1 on, in days since 1970 (UTC), or
-- after position $2 of that day
SELECT coalesce(sum((data ->> 'amount')::bigint) FILTER (WHERE data ->> 'kind' = 'bonus' AND data ->> 'reason' = 'welcome'), 0)
       AS credits, max(position) AS position
FROM events WHERE type = 'CreditsGranted' AND position > coalesce(
    $2, audit.position_at(to_timestamp($1::bigint * 86400) - interval '1 microsecond'))
