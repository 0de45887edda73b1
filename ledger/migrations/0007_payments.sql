-- The last guard for money, should the deciders ever be wrong: what came is credited once, what went back is
-- taken once, and a payment is ordered once.
CREATE UNIQUE INDEX events_one_success_per_payment
    ON events ((data ->> 'provider_payment'), (data ->> 'provider')) WHERE type = 'PaymentSucceeded';
CREATE UNIQUE INDEX events_one_refunded_per_refund
    ON events ((data ->> 'provider_refund')) WHERE type = 'PaymentRefunded';
CREATE UNIQUE INDEX events_one_order_per_payment ON events (stream) WHERE type = 'PaymentOrdered';
