-- Forget messages that were never sent and that no event of the log owes.
DELETE FROM deliveries d
WHERE d.state IN ('pending', 'sending') AND NOT EXISTS (
    SELECT FROM events e WHERE e.position = d.position AND e.stream IN ('job-' || d.job, 'payment-' || d.job)
      AND e.type = CASE d.kind WHEN 'video' THEN 'JobSucceeded' WHEN 'failure' THEN 'JobFailed'
                               WHEN 'gift' THEN 'VideoGifted' ELSE 'PaymentSucceeded' END)
