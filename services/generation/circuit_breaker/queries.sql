-- name: changes
-- The newest changes. $1 model, or null for all; $2 at most so many
SELECT number, model, state, set_by, actor, reason, until_us, changed_us FROM model_changes
WHERE $1::text IS NULL OR model = $1
ORDER BY number DESC LIMIT $2

-- name: circuits
-- Every circuit
SELECT model, state, set_by, actor, reason, since_us, until_us, failed, openings, probe_job, probe_until_us
FROM model_circuits

-- name: claim_probe
-- Let one submission through. $1 model, $2 job, $3 µs until another may be let through; no row: not this one.
-- One statement, so that of all workers that ask at once one gets it; a job that asks again has it still
UPDATE model_circuits
SET probe_job = $2, probe_until_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $3
WHERE model = $1 AND state <> 'available'
  AND until_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
  AND (probe_until_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint OR probe_job = $2)
RETURNING model, state, set_by, actor, reason, since_us, until_us, failed, openings, probe_job, probe_until_us

-- name: facts
-- What a decision needs besides the circuit, read after its lock: now, and when a submission was announced (0 if never).
-- $1 stream of the job, $2 number of the submission
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us,
       coalesce((SELECT recorded_at_us FROM events
                 WHERE stream = $1 AND type = 'SubmissionIntended' AND (data ->> 'submission')::int = $2), 0)
           AS announced_us

-- name: lock
-- One circuit, for who changes it: one after another. What was waited for is read as it has become
SELECT model, state, set_by, actor, reason, since_us, until_us, failed, openings, probe_job, probe_until_us
FROM model_circuits WHERE model = $1 FOR UPDATE

-- name: make
-- A model's row, made at its first trouble
INSERT INTO model_circuits (model) VALUES ($1) ON CONFLICT DO NOTHING

-- name: note_change
-- The change, for good
INSERT INTO model_changes (model, state, set_by, actor, reason, until_us, changed_us)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: now
-- The clock that all times here are of
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint

-- name: put
-- A circuit as it has become
UPDATE model_circuits
SET state = $2, set_by = $3, actor = $4, reason = $5, since_us = $6, until_us = $7, failed = $8, openings = $9,
    probe_job = $10, probe_until_us = $11
WHERE model = $1
