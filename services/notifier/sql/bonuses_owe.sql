-- Messages owed for an invitation's bonuses; one that is owed already stays as it is. $1 positions of their grants
INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, refunded)
SELECT invited, CASE WHEN account = invited THEN 'referred' ELSE 'referral' END, position, account, '', 1, 1, 'ru',
       credits
FROM (
    SELECT position, substr(stream, length('account-') + 1) AS account,
           substr(data ->> 'reference', length('referral:') + 1) AS invited, (data ->> 'amount')::bigint AS credits
    FROM events WHERE position = ANY ($1)
) AS came
ORDER BY position
ON CONFLICT (job, kind) DO NOTHING
