-- The change, for good
INSERT INTO model_changes (model, state, set_by, actor, reason, until_us, changed_us)
VALUES ($1, $2, $3, $4, $5, $6, $7)
