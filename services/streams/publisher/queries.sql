-- name: lowest_unfinished
-- Below this position no job is unfinished: that of the oldest one, or the one after the head.
SELECT coalesce((SELECT min(position) FROM open_jobs),
                (SELECT position + 1 FROM events ORDER BY position DESC LIMIT 1), 0)

-- name: needed_after
-- The lowest position that an in-order consumer has applied; NULL when there is none.
SELECT min(position) FROM cursors WHERE active

-- name: newest_open_job
-- The newest unfinished job up to a position: `jobs` must have come at least so far. $1 position
SELECT coalesce(max(position), 0) FROM open_jobs WHERE position <= $1
