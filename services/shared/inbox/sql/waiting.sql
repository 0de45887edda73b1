-- Updates that wait, urgent ones or ordinary ones ($1), without $2 (ids in hand), at most $3. Every chat's first
-- comes before any chat's second.
SELECT update_id, chat_id, user_id, body::text, failures
FROM (
    SELECT update_id, row_number() OVER (PARTITION BY chat_id ORDER BY update_id) AS place
    FROM updates WHERE urgent = $1 AND parked_at IS NULL
) AS places JOIN updates USING (update_id)
WHERE NOT update_id = ANY ($2::bigint[])
ORDER BY place, update_id LIMIT $3
