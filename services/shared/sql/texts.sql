-- Texts that are still there. $1 their references
SELECT ref, body::text FROM texts WHERE ref = ANY ($1::text[])
