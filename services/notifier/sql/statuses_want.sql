-- The status messages of these orders have something new to show. $1 orders, $2 their accounts
INSERT INTO order_statuses AS s (order_id, account)
SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT (order_id) DO UPDATE SET wanted = s.wanted + 1
