-- The jobs of an order: those of the command it was made by, and those of the read model. $1 order
SELECT made.data ->> 'job' AS job
FROM events first
-- The limit is above any command's length. Without it the planner takes the range for a third of the log.
CROSS JOIN LATERAL (
    SELECT type, data FROM events
    WHERE position >= first.position AND position < first.position + first.command_events
    ORDER BY position LIMIT 1000
) AS made
WHERE (first.key = 'order:' || $1 OR first.key = $1)
  AND made.type = 'CreditsCharged' AND made.data ->> 'order' = $1
UNION
SELECT job FROM job_status WHERE order_id = $1
