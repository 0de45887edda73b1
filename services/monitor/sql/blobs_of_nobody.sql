-- What is to be deleted, and whether for the last time: soon after it became nobody's, and $1 seconds later once more.
SELECT blob, used_at < clock_timestamp() - make_interval(secs => $1) FROM blobs
WHERE account IS NULL AND (used_at < clock_timestamp() - make_interval(secs => $1)
                           OR used_at > clock_timestamp() - interval '15 minutes')
