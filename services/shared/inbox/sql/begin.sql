-- Take update $1 in hand; how many processes have done so by now, and how many before it were left out. No row
-- when it is gone.
UPDATE updates SET begun = begun + 1 WHERE update_id = $1 RETURNING begun, dropped
