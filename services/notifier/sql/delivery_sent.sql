-- It has arrived: a fact, recorded whoever holds the row by now; of one that is 'skipped' the person was erased, and
-- where it arrived is not. $1 job, $2 kind, $3 message id, $4 file id
UPDATE deliveries
SET state = 'sent', message_id = CASE WHEN state <> 'skipped' THEN $3::bigint END,
    file_id = CASE WHEN state <> 'skipped' THEN $4 END, last_error = NULL, settled_at = clock_timestamp()
WHERE job = $1 AND kind = $2 AND state <> 'sent'
RETURNING job
