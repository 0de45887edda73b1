-- The provider has let us read it: what we were told of it is settled. $1 payment
UPDATE payment_watch SET told_at = NULL WHERE payment = $1 AND told_at IS NOT NULL
