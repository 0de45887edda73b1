-- Signed notes in the order they were stored. $1 their kind, NULL for all
SELECT number, kind, position, hash, note,
       to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS made_at
FROM checkpoints WHERE $1::text IS NULL OR kind = $1 ORDER BY number
