-- name: clock_correct
-- Take the log's time back. $1 what time it is, epoch microseconds, $2 why
SELECT outcome, position, clock_us, head_us FROM ledger.correct_clock($1, $2)

-- name: clock_future
-- Set to now what a clock that was ahead has dated so late that nobody comes to it: nothing waits for seven hours.
WITH t AS MATERIALIZED (SELECT n AS now, n + interval '7 hours' AS late, (extract(epoch FROM n) * 1000000)::bigint AS now_us
                        FROM clock_timestamp() AS n),
a AS (UPDATE payment_watch SET due_at = now, opened_at = least(opened_at, now) FROM t WHERE due_at > late RETURNING 1),
c AS (UPDATE deliveries SET due_at = now FROM t WHERE due_at > late AND state IN ('pending', 'sending') RETURNING 1),
d AS (UPDATE status_messages SET due_at = now FROM t WHERE due_at > late AND NOT abandoned RETURNING 1),
e AS (UPDATE model_circuits SET until_us = least(until_us, now_us), probe_until_us = least(probe_until_us, now_us) FROM t
      WHERE greatest(until_us, probe_until_us) > now_us + 25200000000 AND set_by <> 'operator' RETURNING 1)
SELECT count(*) FROM (TABLE a UNION ALL TABLE c UNION ALL TABLE d UNION ALL TABLE e) AS set_to_now

-- name: clock_wrong
-- What is to be put right of what a clock that was ahead did, and what stays. $1 whether also before the time is taken back, $2 the
-- longest deadline that may be ordered, microseconds
WITH spans AS (
    SELECT from_position AS first, position AS before, to_us FROM audit.corrections
    UNION ALL
    SELECT audit.position_at(audit.to_time(c)) + 1, e.position + 1, c
    FROM ledger.clock() AS c, (SELECT position, recorded_at_us FROM events ORDER BY position DESC LIMIT 1) AS e
    WHERE $1 AND e.recorded_at_us > c
), dated AS (
    SELECT s.to_us, e.* FROM spans s
    CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.position >= s.first AND e.position < s.before OFFSET 0) AS e
)
SELECT DISTINCT ON (position, object) * FROM (
    SELECT 'give back' AS what, e.position, substr(e.stream, 9) AS account, 'lot ' || e.lot AS object, e.amount AS credits,
           e.due_at_us AS until_us, e.payment AS name
    FROM spans s CROSS JOIN LATERAL audit.expired_early(s.first, s.before, s.to_us) AS e WHERE e.returned = 0
    UNION ALL
    SELECT 'fail and refund', o.position, o.account, o.job, (q.data ->> 'price')::bigint, o.deadline_at_us, NULL
    FROM open_jobs o JOIN dated q ON q.position = o.position WHERE o.deadline_at_us > q.to_us + $2
    UNION ALL
    SELECT 'watch again', e.position, o.data ->> 'account', substr(e.stream, 9), (o.data ->> 'credits')::bigint, NULL,
           o.data ->> 'provider'
    FROM dated e JOIN events o ON o.stream = e.stream AND o.version = 1
    WHERE e.type = 'PaymentExpired' AND NOT EXISTS (SELECT FROM payment_watch w WHERE 'payment-' || w.payment = e.stream)
      AND NOT EXISTS (SELECT FROM events s WHERE s.stream = e.stream AND s.type IN ('PaymentSucceeded', 'PaymentCancelled'))
    UNION ALL
    SELECT 'stays: may live too long', e.position, substr(e.stream, 9), e.type, (e.data ->> 'amount')::bigint,
           (e.data ->> 'expires_at_us')::bigint, NULL
    FROM dated e
    WHERE e.type IN ('CreditsRefunded', 'CreditsRestored')
       OR e.type = 'CreditsGranted' AND e.data ->> 'kind' IN ('purchase', 'promo', 'referral') AND e.data ->> 'expires_at_us' IS NOT NULL
) AS wrong ORDER BY position, object

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

-- name: promo_codes
-- All promo codes, the newest first, with how often each was used and whether it is disabled.
SELECT c.data::text AS data, c.recorded_at_us,
       (SELECT count(*) FROM events u WHERE u.type = 'PromoRedeemed' AND u.stream = c.stream) AS used,
       EXISTS (SELECT FROM events d WHERE d.type = 'PromoDisabled' AND d.stream = c.stream) AS disabled
FROM events c WHERE c.type = 'PromoCreated' ORDER BY c.position DESC
