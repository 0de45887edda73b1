-- Orders of which the log has no job left: their messages cannot be kept up to date.
UPDATE order_statuses s SET abandoned = true, last_error = 'the order was lost when the database went back'
WHERE NOT s.abandoned AND NOT EXISTS (SELECT FROM order_jobs l WHERE l.order_id = s.order_id)
  AND NOT EXISTS (SELECT FROM events e JOIN open_jobs o ON e.position = o.position
                  WHERE e.data ->> 'order' = s.order_id)
