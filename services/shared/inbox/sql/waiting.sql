-- The oldest updates that wait and are not in $1 (ids in hand), at most $2.
SELECT update_id, chat_id, user_id, body::text, failures FROM updates
WHERE parked_at IS NULL AND NOT update_id = ANY ($1::bigint[])
ORDER BY update_id LIMIT $2
