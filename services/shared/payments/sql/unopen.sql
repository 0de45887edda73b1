-- The payment was not ordered after all. $1 payment
WITH unlinked AS (DELETE FROM payment_links WHERE payment = $1)
DELETE FROM payment_watch WHERE payment = $1 AND refund = ''
