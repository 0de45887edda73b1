-- $1 a blob. NULL when it is nobody's (any more)
UPDATE blobs SET used_at = greatest(used_at, clock_timestamp()) WHERE blob = $1 AND account IS NOT NULL RETURNING blob
