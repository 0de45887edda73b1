-- What there is of the person behind an account, in counts. $1 account
SELECT EXISTS (SELECT FROM accounts WHERE account = $1) AS telegram_id_known,
       (SELECT count(*) FROM texts WHERE account = $1) AS texts,
       (SELECT count(*) FROM drafts WHERE account = $1) AS drafts,
       (SELECT count(*) FROM blobs WHERE account = $1) AS files,
       (SELECT count(*) FROM payment_links WHERE account = $1) AS payments,
       (SELECT count(*) FROM deliveries WHERE account = $1) AS messages,
       (SELECT count(*) FROM open_jobs WHERE account = $1) AS unfinished_jobs
