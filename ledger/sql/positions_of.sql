-- The positions that a name stands for: a job, its charge and refund, a payment, or an order with all its jobs.
-- Every part is read by an index. $1 the name, $2 at most so many
WITH ordered AS (  -- the command that made the order
    SELECT position, command_events FROM events WHERE key = ANY (ARRAY['order:' || $1, $1])
), made AS (
    SELECT e.position, e.stream FROM ordered o
    JOIN events e ON e.position >= o.position AND e.position < o.position + o.command_events
), jobs AS (
    SELECT 'job-' || $1 AS stream UNION SELECT stream FROM made WHERE stream LIKE 'job-%'
), named AS (
    SELECT position FROM made
    UNION SELECT position FROM events WHERE stream = 'payment-' || $1
    UNION SELECT position FROM events
          WHERE type IN ('CreditsGranted', 'CreditsRevoked') AND data ->> 'reference' = $1
    UNION SELECT e.position FROM jobs JOIN events e USING (stream)
    UNION SELECT e.position FROM jobs JOIN events e
          ON e.type = 'CreditsCharged' AND e.data ->> 'job' = substr(jobs.stream, 5)
    UNION SELECT e.position FROM jobs JOIN events e
          ON e.type = 'CreditsRefunded' AND e.data ->> 'job' = substr(jobs.stream, 5)
)
SELECT position FROM named ORDER BY position LIMIT $2
