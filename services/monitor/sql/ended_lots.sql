-- Accounts with a lot whose life is over by the database's clock, page by page. $1, $2 end and account of the last
-- one seen; $3 at most so many
SELECT account, next_expiry_at_us FROM balances
WHERE next_expiry_at_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
  AND (next_expiry_at_us, account) > ($1, $2)
ORDER BY next_expiry_at_us, account LIMIT $3
