-- $1 account
WITH gone AS (DELETE FROM texts WHERE account = $1 RETURNING 1) SELECT count(*) FROM gone
