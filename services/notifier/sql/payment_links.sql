-- Where payments are paid, the order to come back to, and why the provider said no. $1 payments
SELECT l.payment, l.confirmation_url, CASE WHEN d.ordered THEN '' ELSE coalesce(l.draft, '') END AS back_to,
       coalesce((SELECT e.data ->> 'reason' FROM events e
                 WHERE e.stream = 'payment-' || l.payment AND e.type = 'PaymentCancelled'
                 ORDER BY e.version DESC LIMIT 1), '') AS cancelled_for
FROM payment_links l LEFT JOIN drafts d ON d.draft = l.draft
WHERE l.payment = ANY ($1)
