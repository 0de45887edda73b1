-- Whether nobody folds the second half of a projection's log; until the transaction ends nobody can begin. $1 lock, $2 name
SELECT pg_try_advisory_xact_lock($1, hashtext($2))
