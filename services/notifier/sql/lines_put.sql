-- New and moved status lines. $1..$8 their columns
INSERT INTO order_jobs (job, order_id, account, number, of_jobs, price, locale, state)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[],
                     $8::text[])
ON CONFLICT (job) DO UPDATE SET state = excluded.state
