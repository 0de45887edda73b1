-- $1 the person's keyed hash
INSERT INTO forgotten (person) VALUES ($1) ON CONFLICT DO NOTHING
