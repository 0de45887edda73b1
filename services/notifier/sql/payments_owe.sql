-- Messages owed for money that came; one that is owed already stays as it is. $1 positions of PaymentSucceeded
INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, refunded)
SELECT payment, CASE WHEN before THEN 'paid_again' ELSE 'paid' END, position, account, payment, 1, 1, locale, credits
FROM (
    SELECT s.position, substr(s.stream, length('payment-') + 1) AS payment, o.data ->> 'account' AS account,
           o.data ->> 'locale' AS locale, (o.data ->> 'credits')::bigint AS credits,
           EXISTS (SELECT FROM events e WHERE e.stream = s.stream AND e.type = 'PaymentSucceeded'
                                          AND e.version < s.version) AS before
    FROM events s JOIN events o ON o.stream = s.stream AND o.type = 'PaymentOrdered'
    WHERE s.position = ANY ($1)
) AS came
ORDER BY position
ON CONFLICT (job, kind) DO NOTHING
