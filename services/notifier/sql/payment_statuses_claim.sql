-- Take payments' status messages that show less than they should. $1 at most so many, $2 lease in seconds
WITH due AS (
    SELECT s.payment, s.account FROM payment_statuses s
    WHERE s.wanted > s.shown AND NOT s.abandoned AND s.due_at <= now()
    ORDER BY s.due_at LIMIT $1
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE payment_statuses s
SET claims = s.claims + 1, due_at = clock_timestamp() + make_interval(secs => $2)
FROM due
LEFT JOIN accounts a ON a.account = due.account
LEFT JOIN payment_links l ON l.payment = due.payment
WHERE s.payment = due.payment
RETURNING s.payment, s.wanted AS version, s.claims, s.attempts, a.telegram_id IS NOT NULL AS known,
          a.locale, l.chat_id, l.message_id
