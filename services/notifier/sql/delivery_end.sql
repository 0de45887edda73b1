-- Never: failed or skipped. The order's status message says so then. $1 job, $2 kind, $3 claim, $4 state, $5 why
WITH ended AS (
    UPDATE deliveries SET state = $4, last_error = $5, settled_at = clock_timestamp()
    WHERE job = $1 AND kind = $2 AND claims = $3 AND state IN ('pending', 'sending')
    RETURNING job, order_id
), shown AS (
    UPDATE order_statuses s SET wanted = s.wanted + 1 FROM ended WHERE s.order_id = ended.order_id
)
SELECT job FROM ended
