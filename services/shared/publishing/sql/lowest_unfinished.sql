-- Below this position no job is unfinished: that of the oldest one, or the one after the head.
SELECT coalesce((SELECT min(position) FROM open_jobs),
                (SELECT position + 1 FROM events ORDER BY position DESC LIMIT 1), 0)
