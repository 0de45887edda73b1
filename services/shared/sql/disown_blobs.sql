-- Photos and videos that are nobody's from here on. $1 account
UPDATE blobs SET account = NULL, used_at = clock_timestamp() WHERE account = $1 RETURNING blob
