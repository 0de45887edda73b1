-- $1 payment, $2 where the provider takes the money
UPDATE payment_links SET confirmation_url = $2 WHERE payment = $1 AND confirmation_url IS DISTINCT FROM $2
