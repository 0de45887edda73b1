-- Messages owed; one that is owed already stays as it is. $1..$12 their columns
INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, refunded, error_class,
                        blob, size_bytes)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                     $8::text[], $9::bigint[], $10::text[], $11::text[], $12::bigint[])
ON CONFLICT (job, kind) DO NOTHING
