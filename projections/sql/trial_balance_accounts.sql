-- The books at a moment, account by account. $1 position, $2 epoch microseconds at which lives are judged
SELECT account, 1::bigint AS accounts, debits, credits, balance FROM audit.books($1, $2) ORDER BY account
