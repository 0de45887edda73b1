-- Update $1 failed with $2; how often it has by now. NULL when it is gone.
UPDATE updates SET failures = failures + 1, error = $2 WHERE update_id = $1 RETURNING failures
