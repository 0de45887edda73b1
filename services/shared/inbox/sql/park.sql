-- Give up on update $1 because of $2.
UPDATE updates SET parked_at = clock_timestamp(), error = $2 WHERE update_id = $1
