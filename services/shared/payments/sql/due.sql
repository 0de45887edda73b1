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
