-- Take status messages that show less than they should, with the lines they should show.
-- $1 at most so many, $2 lease in seconds
WITH due AS (
    SELECT s.order_id, s.account FROM order_statuses s
    WHERE s.wanted > s.shown AND NOT s.abandoned AND s.due_at <= now()
    ORDER BY s.due_at LIMIT $1
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE order_statuses s
SET claims = s.claims + 1, due_at = clock_timestamp() + make_interval(secs => $2)
FROM due
LEFT JOIN accounts a ON a.account = due.account
LEFT JOIN drafts o ON o.draft = due.order_id
WHERE s.order_id = due.order_id
RETURNING s.order_id, s.wanted AS version, s.claims, s.attempts, a.telegram_id IS NOT NULL AS known,
          a.locale, o.chat_id, o.message_id
