-- A model's row, made at its first trouble
INSERT INTO model_circuits (model) VALUES ($1) ON CONFLICT DO NOTHING
