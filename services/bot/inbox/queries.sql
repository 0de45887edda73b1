-- name: begin
-- Take update $1 in hand; how many processes have done so by now, how many before it were left out, and its age in
-- seconds. No row when it is gone.
UPDATE updates SET begun = begun + 1 WHERE update_id = $1
RETURNING begun, dropped, extract(epoch FROM clock_timestamp() - received_at)::float8

-- name: drop_floods
-- Of each chat in $1 keep the newest $2 ordinary updates that nobody has begun. What goes is counted on the oldest
-- that stays, which cannot be begun before: all of them are locked. How many went.
WITH waiting AS (
    SELECT update_id, chat_id FROM updates
    WHERE chat_id = ANY ($1::bigint[]) AND NOT urgent AND parked_at IS NULL AND begun = 0 AND update_id > 0
    FOR UPDATE SKIP LOCKED
), ranked AS (
    SELECT update_id, chat_id, row_number() OVER (PARTITION BY chat_id ORDER BY update_id DESC) AS age
    FROM waiting
), gone AS (
    DELETE FROM updates USING ranked WHERE updates.update_id = ranked.update_id AND age > $2
    RETURNING updates.chat_id, 1 + updates.dropped AS lost
), counted AS (
    UPDATE updates SET dropped = dropped + by_chat.lost
    FROM ranked JOIN (SELECT chat_id, sum(lost) AS lost FROM gone GROUP BY chat_id) AS by_chat USING (chat_id)
    WHERE updates.update_id = ranked.update_id AND age = $2
)
SELECT count(*) FROM gone

-- name: failed
-- Update $1 failed with $2; how often it has by now. NULL when it is gone.
UPDATE updates SET failures = failures + 1, error = $2 WHERE update_id = $1 RETURNING failures

-- name: forget_parked
-- Delete what was parked more than $1 days ago; how many went.
WITH gone AS (
    DELETE FROM updates WHERE parked_at < clock_timestamp() - make_interval(days => $1) RETURNING 1
)
SELECT count(*) FROM gone

-- name: park
-- Give up on update $1 because of $2.
UPDATE updates SET parked_at = clock_timestamp(), error = $2 WHERE update_id = $1

-- name: store
-- Keep updates; one that is there already stays as it is. $1 update ids, $2 chats, $3 users, $4 urgent or not,
-- $5 bodies.
INSERT INTO updates (update_id, chat_id, user_id, urgent, body)
SELECT i, c, p, u, b::json
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::text[]) AS t (i, c, p, u, b)
ON CONFLICT (update_id) DO NOTHING

-- name: waiting
-- Updates that wait, urgent ones or ordinary ones ($1), without $2 (ids in hand), at most $3. Every chat's first
-- comes before any chat's second.
SELECT update_id, chat_id, user_id, body::text, failures
FROM (
    SELECT update_id, row_number() OVER (PARTITION BY chat_id ORDER BY update_id) AS place
    FROM updates WHERE urgent = $1 AND parked_at IS NULL
) AS places JOIN updates USING (update_id)
WHERE NOT update_id = ANY ($2::bigint[])
ORDER BY place, update_id LIMIT $3
