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
LEFT JOIN payment_links l ON l.payment = due.job AND due.kind IN ('paid', 'paid_again')
LEFT JOIN drafts b ON b.draft = l.draft
WHERE d.job = due.job AND d.kind = due.kind
RETURNING d.job, d.kind, d.position, d.account, d.order_id, d.number, d.of_jobs,
          coalesce(a.locale, d.locale) AS locale, d.refunded, d.error_class, d.blob, d.size_bytes, d.as_link,
          d.claims, d.attempts, d.unknown_sends, a.telegram_id AS chat_id, o.draft IS NOT NULL AS repeatable,
          CASE WHEN b.ordered THEN '' ELSE coalesce(l.draft, '') END AS back_to,
          extract(epoch FROM d.owed_at)::float8 AS owed_at_s,
          extract(epoch FROM clock_timestamp() - d.owed_at)::float8 AS age_s
