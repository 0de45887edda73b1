-- Write down that a send begins, before it does; no row when the delivery is no longer ours to send.
-- $1 job, $2 kind, $3 claim
UPDATE deliveries SET state = 'sending', attempts = attempts + 1
WHERE job = $1 AND kind = $2 AND claims = $3 AND state = 'pending' AND unknown_sends < 2
RETURNING attempts
