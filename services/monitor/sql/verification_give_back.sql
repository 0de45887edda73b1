-- It was not verified; nobody tries for so many seconds. $1 seconds
UPDATE verification SET taken_until = clock_timestamp() + make_interval(secs => $1)
