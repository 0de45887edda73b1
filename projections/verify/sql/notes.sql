-- Signed notes in the order they were stored, and what the log has where they were signed.
SELECT c.number, c.kind, c.position, c.hash, c.note,
       to_char(c.made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS made_at, e.hash AS log_hash
FROM checkpoints c LEFT JOIN events e USING (position)
ORDER BY c.number
