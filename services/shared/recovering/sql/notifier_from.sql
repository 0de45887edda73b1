-- The position after which the notifier must read again: before the first unfinished job, and before the first
-- event whose message is not in the table.
SELECT least(
    (SELECT coalesce(max(position), 0) FROM events),
    (SELECT min(position) - 1 FROM open_jobs),
    (SELECT min(e.position) - 1 FROM events e
     WHERE e.type IN ('JobSucceeded', 'JobFailed', 'VideoGifted') AND NOT EXISTS (
         SELECT FROM deliveries d WHERE d.job = substr(e.stream, 5)
           AND d.kind = CASE e.type WHEN 'JobSucceeded' THEN 'video' WHEN 'JobFailed' THEN 'failure' ELSE 'gift' END)),
    (SELECT min(e.position) - 1 FROM events e
     WHERE e.type = 'PaymentSucceeded' AND NOT EXISTS (SELECT FROM deliveries d WHERE d.position = e.position))
)
