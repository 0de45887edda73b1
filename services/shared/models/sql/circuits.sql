-- Every circuit
SELECT model, state, set_by, actor, reason, since_us, until_us, failed, openings, probe_job, probe_until_us
FROM model_circuits
