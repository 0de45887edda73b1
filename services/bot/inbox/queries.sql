-- name: done
-- Update $1 is handled: delete it, and give back the claim of chat $2, lane $3, if it is still $4's; $5 is the tap it was.
WITH gone AS (
    DELETE FROM updates WHERE update_id = $1
)
UPDATE chat_claims SET owner = NULL, until = clock_timestamp(), last_tap = $5
WHERE chat_id = $2 AND urgent = $3 AND owner = $4

-- name: failed
-- Update $1 failed with $2; how often it has by now. NULL when it is gone.
UPDATE updates SET failures = failures + 1, error = $2 WHERE update_id = $1 RETURNING failures

-- name: flood_told
-- The person of chat $1, lane $2, knows of the flood.
UPDATE chat_claims SET flood_told_at = clock_timestamp() WHERE chat_id = $1 AND urgent = $2

-- name: forget_claims
-- Delete claims that have been free, or dead, for $1 seconds.
DELETE FROM chat_claims WHERE until < clock_timestamp() - make_interval(secs => $1)

-- name: forget_parked
-- Delete what was parked more than $1 days ago; how many went.
WITH gone AS (
    DELETE FROM updates WHERE parked_at < clock_timestamp() - make_interval(days => $1) RETURNING 1
)
SELECT count(*) FROM gone

-- name: forget_seen
-- Forget numbers of updates that Telegram does not send any more: it keeps them for a day.
DELETE FROM seen_updates WHERE seen_at < clock_timestamp() - interval '2 days'

-- name: give_back
-- Give back the claim of chat $2, lane $3, if it is still $4's, and update $1 with it, not begun and in trouble for $5 seconds (0: none).
-- Others are told.
WITH ours AS (
    UPDATE chat_claims SET owner = NULL, until = clock_timestamp(), last_tap = ''
    WHERE chat_id = $2 AND urgent = $3 AND owner = $4 RETURNING urgent
), kept AS (
    UPDATE updates SET begun = begun - 1,
           troubled_at = CASE WHEN $5::float8 > 0 THEN clock_timestamp() - make_interval(secs => $5) ELSE troubled_at END
    WHERE update_id = $1 AND EXISTS (SELECT FROM ours)
)
SELECT pg_notify('neurocards_updates', CASE WHEN urgent THEN 'urgent' ELSE 'ordinary' END) FROM ours

-- name: park
-- Give up on update $1 because of $5, and give back the claim of chat $2, lane $3, if it is still $4's.
WITH parked AS (
    UPDATE updates SET parked_at = clock_timestamp(), error = $5 WHERE update_id = $1
)
UPDATE chat_claims SET owner = NULL, until = clock_timestamp(), last_tap = ''
WHERE chat_id = $2 AND urgent = $3 AND owner = $4

-- name: release
-- Give back all claims of $1.
UPDATE chat_claims SET owner = NULL, until = clock_timestamp(), last_tap = '' WHERE owner = $1

-- name: renew
-- Renew the claims of $1 for $2 seconds, of the chats $3 in the lanes $4. Others lapse: it was not told that it has them.
UPDATE chat_claims SET until = clock_timestamp() + make_interval(secs => $2)
WHERE owner = $1 AND (chat_id, urgent) IN (SELECT * FROM unnest($3::bigint[], $4::boolean[]))

-- name: take
-- Of the chats whose lane $1 (urgent or not) is free claim at most $4 for $2, for $3 seconds, first who has waited longest since he could
-- be served, and begin the first update of each. A last tap says something for $5 seconds, an apology for a flood for $6. The key of
-- chat_claims decides what this statement's snapshot cannot know.
WITH heads AS (
    SELECT DISTINCT ON (chat_id) chat_id, update_id, received_at FROM updates
    WHERE urgent = $1 AND parked_at IS NULL ORDER BY chat_id, update_id
), free AS (
    SELECT heads.chat_id, heads.update_id, claim.until > heads.received_at AS behind_own
    FROM heads JOIN updates AS waiting USING (update_id)
    LEFT JOIN chat_claims AS claim ON claim.chat_id = heads.chat_id AND claim.urgent = $1
    WHERE claim.until IS NULL OR claim.until <= clock_timestamp()
    ORDER BY greatest(claim.until, heads.received_at), heads.update_id LIMIT $4
    FOR UPDATE OF waiting SKIP LOCKED
), claimed AS (
    INSERT INTO chat_claims AS claim (chat_id, urgent, owner, until)
    SELECT chat_id, $1, $2, clock_timestamp() + make_interval(secs => $3) FROM free ORDER BY chat_id
    ON CONFLICT (chat_id, urgent) DO UPDATE
    SET owner = excluded.owner, until = excluded.until,
        last_tap = CASE WHEN claim.until > clock_timestamp() - make_interval(secs => $5) THEN claim.last_tap ELSE '' END
    WHERE claim.until <= clock_timestamp()
    RETURNING chat_id, last_tap, flood_told_at > clock_timestamp() - make_interval(secs => $6) AS told
)
UPDATE updates SET begun = begun + 1 FROM free JOIN claimed USING (chat_id) WHERE updates.update_id = free.update_id
RETURNING updates.update_id, updates.chat_id, user_id, body::text, urgent, failures, begun,
          dropped, coalesce(told, false), extract(epoch FROM clock_timestamp() - received_at)::float8, coalesce(behind_own, false),
          coalesce(extract(epoch FROM clock_timestamp() - troubled_at), 0)::float8, last_tap
