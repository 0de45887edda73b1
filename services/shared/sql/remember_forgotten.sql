-- $1 the person's keyed hash, $2 what they owe (NULL: as was known), $3 keyed hashes of the codes they used
WITH codes AS (
    INSERT INTO forgotten (person) SELECT unnest($3::bytea[]) ON CONFLICT DO NOTHING
)
INSERT INTO forgotten (person, debt) VALUES ($1, coalesce($2::bigint, 0))
ON CONFLICT (person) DO UPDATE SET debt = coalesce($2::bigint, forgotten.debt)
