-- Messages owed by events that the log does not hold: how many were sent or given up, and how many were waiting.
-- Also how many others wait: in a dump that was put back, those may have been sent since.
SELECT count(*) FILTER (WHERE d.state NOT IN ('pending', 'sending')) AS settled,
       count(*) FILTER (WHERE d.state IN ('pending', 'sending')) AS waiting,
       (SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')) AS all_waiting
FROM deliveries d
WHERE d.position > 0 AND NOT EXISTS (
    SELECT FROM events e WHERE e.position = d.position AND e.stream IN ('job-' || d.job, 'payment-' || d.job)
      AND e.type = CASE d.kind WHEN 'video' THEN 'JobSucceeded' WHEN 'failure' THEN 'JobFailed'
                               WHEN 'gift' THEN 'VideoGifted' ELSE 'PaymentSucceeded' END)
