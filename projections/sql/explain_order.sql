-- The jobs of an order: those of the command it was made by, and those of the read model. $1 order
SELECT charged.data ->> 'job' AS job
FROM events first
-- place by place, as the planner takes a range for a third of the log
CROSS JOIN LATERAL generate_series(first.position, first.position + first.command_events - 1) AS place
JOIN events charged ON charged.position = place
WHERE (first.key = 'order:' || $1 OR first.key = $1)
  AND charged.type = 'CreditsCharged' AND charged.data ->> 'order' = $1
UNION
SELECT job FROM job_status WHERE order_id = $1
