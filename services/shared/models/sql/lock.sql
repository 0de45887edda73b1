-- One circuit, for who changes it: one after another. What was waited for is read as it has become
SELECT model, state, set_by, actor, reason, since_us, until_us, failed, openings, probe_job, probe_until_us
FROM model_circuits WHERE model = $1 FOR UPDATE
