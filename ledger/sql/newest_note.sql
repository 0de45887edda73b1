-- The note stored last. $1 its kind, $2 the position it reaches at least
SELECT number, kind, position, hash, note,
       to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS made_at
FROM checkpoints WHERE kind = $1 AND position >= $2 ORDER BY number DESC LIMIT 1
