-- Take the turn to verify; no row: nothing is due, or another monitor is at it. `whole`: from the log's start, which is
-- done more often while something is wrong. $1 how often what is new, $2 how often the whole, $3 how often the whole
-- while something is wrong, $4 for how long the turn is taken; all in seconds
WITH due AS (
    SELECT one,
           coalesce(whole_at <= clock_timestamp() - make_interval(
               secs => CASE WHEN problems = '{}' THEN $2::float8 ELSE least($2::float8, $3::float8) END), true) AS whole,
           coalesce(ended_at <= clock_timestamp() - make_interval(secs => $1), true) AS new
    FROM verification WHERE taken_until <= clock_timestamp() FOR UPDATE
)
UPDATE verification v SET taken_until = clock_timestamp() + make_interval(secs => $4)
FROM due WHERE v.one = due.one AND (due.whole OR due.new)
RETURNING due.whole, v.position, v.hash, v.problems::text AS problems
