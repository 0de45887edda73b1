-- $1 account
SELECT job FROM open_jobs WHERE account = $1
