-- Of each chat in $1 keep the newest $2 ordinary updates that nobody has begun. What goes is counted on the oldest
-- that stays, which cannot be begun before: all of them are locked. How many went.
WITH waiting AS (
    SELECT update_id, chat_id FROM updates
    WHERE chat_id = ANY ($1::bigint[]) AND NOT urgent AND parked_at IS NULL AND begun = 0
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
