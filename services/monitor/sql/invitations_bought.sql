-- Invited accounts that have bought and were not rewarded yet, page by page; erased ones are out.
-- $1 position of the last one seen, $2 at most so many
SELECT o.position, substr(o.stream, length('account-') + 1) AS account, o.data ->> 'invited_by' AS inviter, '' AS job
FROM events o
WHERE o.type = 'AccountOpened' AND (o.data ->> 'invited_by') <> '' AND o.position > $1
  AND EXISTS (SELECT FROM events e WHERE e.stream = o.stream AND e.type = 'CreditsGranted'
                                     AND e.data ->> 'kind' = 'purchase')
  AND NOT EXISTS (SELECT FROM events e WHERE e.stream = o.stream
                                         AND e.type IN ('InvitationRewarded', 'AccountForgotten'))
ORDER BY o.position LIMIT $2
