-- The status lines of some jobs. $1 jobs
SELECT job, order_id, account, number, of_jobs, price, locale, state FROM order_jobs WHERE job = ANY ($1)
