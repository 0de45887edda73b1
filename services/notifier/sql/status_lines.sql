-- What the status messages of orders show, job by job; `lost` when a video was made and could not be handed over.
-- $1 orders
SELECT j.order_id, j.number, j.state, j.locale,
       coalesce(d.state = 'failed', false) AS lost, coalesce(d.blob, '') AS blob,
       coalesce(extract(epoch FROM d.owed_at), 0)::float8 AS owed_at_s
FROM order_jobs j
LEFT JOIN deliveries d ON d.job = j.job AND d.kind = CASE j.state WHEN 'done' THEN 'video' WHEN 'gifted' THEN 'gift' END
WHERE j.order_id = ANY ($1) ORDER BY j.order_id, j.number
