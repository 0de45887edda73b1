-- One more try in vain; those that do not count any more go. $1 account
WITH old AS (
    DELETE FROM wrong_codes WHERE account = $1 AND tried_at <= clock_timestamp() - interval '1 hour'
)
INSERT INTO wrong_codes (account) VALUES ($1)
