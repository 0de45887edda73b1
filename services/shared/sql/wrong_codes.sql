-- How many codes the account has tried in vain within the last hour. $1 account
SELECT count(*) FROM wrong_codes WHERE account = $1 AND tried_at > clock_timestamp() - interval '1 hour'
