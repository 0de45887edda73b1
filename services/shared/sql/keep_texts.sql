-- Texts, unless there are some under these references. $1 references, $2 accounts, $3 bodies
INSERT INTO texts (ref, account, body)
SELECT ref, account, body::json FROM unnest($1::text[], $2::text[], $3::text[]) AS t (ref, account, body)
ON CONFLICT (ref) DO NOTHING
