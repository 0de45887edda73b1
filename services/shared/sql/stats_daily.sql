-- Days, the oldest first. $1 the first and $2 the last, as `2026-11-30`; columns in their fields' order
SELECT {columns} FROM daily WHERE day BETWEEN $1 AND $2 ORDER BY day
