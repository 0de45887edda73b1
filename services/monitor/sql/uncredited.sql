-- Since when money is there that brought no credits, epoch seconds, 0: none. `flagged`: read from the provider, and not
-- what was ordered; for a day, since nothing but the comparison tells whether a person has settled it. `unread`: a
-- notification said so, and the provider has not let us read it yet
SELECT coalesce((SELECT min(updated_at_us) / 1e6 FROM payments
                 WHERE state = 'flagged' AND updated_at_us > (extract(epoch FROM clock_timestamp()) - 86400) * 1000000),
                0)::float8 AS flagged,
       coalesce((SELECT extract(epoch FROM min(told_at)) FROM payment_watch), 0)::float8 AS unread
