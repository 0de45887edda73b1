-- What waits for somebody: taps for the bot, messages for the notifier, failed jobs for an operator ($1 the classes
-- that park one); and what the monitor's verification found when
SELECT (SELECT count(*) FROM updates WHERE parked_at IS NULL) AS updates,
       (SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')) AS messages,
       (SELECT count(*) FROM job_status WHERE state = 'failed' AND requeued_as = '' AND NOT dropped AND NOT gifted
                                          AND failure_class = ANY ($1::text[])) AS dead_letters,
       (SELECT extract(epoch FROM clock_timestamp() - ended_at) FROM verification)::float8 AS verified_s,
       (SELECT problems::text FROM verification) AS problems
