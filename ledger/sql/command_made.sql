-- The events that the command with one of these keys made. $1 keys
SELECT e.position, e.stream
FROM (SELECT position, command_events FROM events WHERE key = ANY ($1::text[])) AS first
CROSS JOIN LATERAL (SELECT position, stream FROM events
                    WHERE position >= first.position AND position < first.position + first.command_events
                    ORDER BY position OFFSET 0) AS e
ORDER BY e.position
