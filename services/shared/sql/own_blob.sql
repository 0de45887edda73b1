-- $1 a blob that is about to be stored, $2 whose it is, $3 whether it stays without being used
INSERT INTO blobs (blob, account, used_at)
VALUES ($1, $2, CASE WHEN $3 THEN 'infinity' ELSE clock_timestamp() END)
ON CONFLICT (blob) DO UPDATE SET used_at = excluded.used_at WHERE blobs.account = excluded.account
