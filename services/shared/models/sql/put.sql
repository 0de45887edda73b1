-- A circuit as it has become
UPDATE model_circuits
SET state = $2, set_by = $3, actor = $4, reason = $5, since_us = $6, until_us = $7, failed = $8, openings = $9,
    probe_job = $10, probe_until_us = $11
WHERE model = $1
