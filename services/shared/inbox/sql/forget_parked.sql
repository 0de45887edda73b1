-- Delete what was parked more than $1 days ago; how many went.
WITH gone AS (
    DELETE FROM updates WHERE parked_at < clock_timestamp() - make_interval(days => $1) RETURNING 1
)
SELECT count(*) FROM gone
