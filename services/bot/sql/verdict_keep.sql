-- Remember a verdict; the first one stays. $1 account, $2 content, $3 kinds
INSERT INTO verdicts (account, content, kinds) VALUES ($1, $2, $3::text[]) ON CONFLICT DO NOTHING
