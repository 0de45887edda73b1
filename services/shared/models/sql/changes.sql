-- The newest changes. $1 model, or null for all; $2 at most so many
SELECT number, model, state, set_by, actor, reason, until_us, changed_us FROM model_changes
WHERE $1::text IS NULL OR model = $1
ORDER BY number DESC LIMIT $2
