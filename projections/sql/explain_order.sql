-- The jobs of an order: those of the command it was made by, and those of the read model. $1 order
SELECT charged.data ->> 'job' AS job
FROM events first
JOIN events charged ON charged.position >= first.position AND charged.position < first.position + first.command_events
WHERE first.key IN ('order:' || $1, $1) AND charged.type = 'CreditsCharged' AND charged.data ->> 'order' = $1
UNION
SELECT job FROM job_status WHERE order_id = $1
