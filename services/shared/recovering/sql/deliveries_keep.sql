-- What was sent stays known, so that it is not sent twice; its position is free for the event that the log has
-- there now. Below zero: of a history that is gone.
WITH lost AS (
    SELECT d.job, d.kind, row_number() OVER (ORDER BY d.position) AS n FROM deliveries d
    WHERE d.position > 0 AND d.state NOT IN ('pending', 'sending') AND NOT EXISTS (
        SELECT FROM events e WHERE e.position = d.position AND e.stream IN ('job-' || d.job, 'payment-' || d.job)
      AND e.type = CASE d.kind WHEN 'video' THEN 'JobSucceeded' WHEN 'failure' THEN 'JobFailed'
                               WHEN 'gift' THEN 'VideoGifted' ELSE 'PaymentSucceeded' END)
), lowest AS (SELECT least(min(position), 0) AS position FROM deliveries)
UPDATE deliveries d SET position = lowest.position - lost.n
FROM lost, lowest WHERE d.job = lost.job AND d.kind = lost.kind
