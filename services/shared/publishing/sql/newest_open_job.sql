-- The newest unfinished job up to a position: `jobs` must have come at least so far. $1 position
SELECT coalesce(max(position), 0) FROM open_jobs WHERE position <= $1
