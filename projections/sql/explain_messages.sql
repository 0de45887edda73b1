-- What the chat was told of some jobs. $1 jobs
SELECT job, kind, account, order_id, state, attempts, message_id, last_error,
       (extract(epoch FROM owed_at) * 1000000)::bigint, (extract(epoch FROM settled_at) * 1000000)::bigint
FROM deliveries WHERE job = ANY ($1::text[])
