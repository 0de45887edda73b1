-- Invited accounts with a video that were not rewarded yet, page by page; erased ones are out.
-- $1 position of the last one seen, $2 at most so many
SELECT o.position, substr(o.stream, length('account-') + 1) AS account, o.data ->> 'invited_by' AS inviter, v.job
FROM events o
CROSS JOIN LATERAL (
    SELECT j.job FROM job_status j
    WHERE j.account = substr(o.stream, length('account-') + 1) AND j.state = 'succeeded'
    ORDER BY j.queued_at_us LIMIT 1
) AS v
WHERE o.type = 'AccountOpened' AND (o.data ->> 'invited_by') <> '' AND o.position > $1
  AND NOT EXISTS (SELECT FROM events e WHERE e.stream = o.stream
                                         AND e.type IN ('InvitationRewarded', 'AccountForgotten'))
ORDER BY o.position LIMIT $2
