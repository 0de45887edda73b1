-- It is final. $1 payment, $2 refund
DELETE FROM payment_watch WHERE payment = $1 AND refund = $2
