-- The books at a moment, users in one line. $1 position, $2 epoch microseconds at which lives are judged
SELECT CASE WHEN account LIKE 'user:%' THEN 'user' ELSE account END AS account,
       count(*) AS accounts, sum(debits)::bigint AS debits, sum(credits)::bigint AS credits, sum(balance)::bigint AS balance
FROM audit.books($1, $2)
GROUP BY 1 ORDER BY 1
