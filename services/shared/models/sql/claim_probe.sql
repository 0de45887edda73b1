-- Let one submission through. $1 model, $2 job, $3 µs until another may be let through; no row: not this one.
-- One statement, so that of all workers that ask at once one gets it; a job that asks again has it still
UPDATE model_circuits
SET probe_job = $2, probe_until_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $3
WHERE model = $1 AND state <> 'available'
  AND until_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
  AND (probe_until_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint OR probe_job = $2)
RETURNING model, state, set_by, actor, reason, since_us, until_us, failed, openings, probe_job, probe_until_us
