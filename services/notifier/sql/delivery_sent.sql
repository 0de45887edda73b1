-- It has arrived: a fact, recorded whoever holds the row by now. $1 job, $2 kind, $3 message id, $4 file id
UPDATE deliveries
SET state = 'sent', message_id = $3, file_id = $4, last_error = NULL, settled_at = clock_timestamp()
WHERE job = $1 AND kind = $2 AND state <> 'sent'
RETURNING job
