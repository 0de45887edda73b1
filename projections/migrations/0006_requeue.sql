-- Failed jobs can be made again, or left at that; a free job has no charge and so needs no refund.

DO $$
DECLARE
    version_number int;
BEGIN
    FOR version_number IN SELECT version FROM cursors WHERE name = 'job_status' LOOP
        -- The defaults are right for every row there is: nothing of the kind had happened yet.
        EXECUTE format('ALTER TABLE job_status_v%s
            ADD COLUMN requeue_of text NOT NULL DEFAULT '''',
            ADD COLUMN requeued_as text NOT NULL DEFAULT '''',
            ADD COLUMN dropped boolean NOT NULL DEFAULT false', version_number);
        EXECUTE format('CREATE INDEX ON job_status_v%s (failure_class, ended_at_us, job)
            WHERE state = ''failed'' AND requeued_as = '''' AND NOT dropped', version_number);
    END LOOP;
    EXECUTE format('CREATE OR REPLACE VIEW job_status AS SELECT * FROM job_status_v%s',
                   (SELECT version FROM cursors WHERE name = 'job_status' AND active));
END $$;

CREATE OR REPLACE VIEW audit.job_outcomes AS
SELECT job,
       sum(amount) FILTER (WHERE type = 'CreditsCharged')::bigint AS charged,
       sum(amount) FILTER (WHERE type = 'CreditsRefunded')::bigint AS refunded,
       count(*) FILTER (WHERE type = 'CreditsCharged') AS charges,
       count(*) FILTER (WHERE type = 'CreditsRefunded') AS refunds,
       count(*) FILTER (WHERE type = 'JobSucceeded') AS videos,
       count(*) FILTER (WHERE type = 'JobFailed') AS failures,
       count(*) FILTER (WHERE type = 'VideoGifted') AS gifts,
       min(position) AS first_position,
       max(position) AS last_position,
       count(*) FILTER (WHERE type = 'JobRequeued') AS free_of
FROM (SELECT position, type,
             CASE WHEN type LIKE 'Credits%' THEN data ->> 'job'
                  WHEN type = 'JobRequeued' THEN data ->> 'as_job'
                  ELSE substr(stream, 5) END AS job,
             CASE WHEN type LIKE 'Credits%' THEN (data ->> 'amount')::bigint END AS amount
      FROM public.events
      WHERE type IN ('CreditsCharged', 'CreditsRefunded', 'JobSucceeded', 'JobFailed', 'VideoGifted')
         OR (type = 'JobRequeued' AND (data ->> 'price')::bigint = 0)) AS moves
GROUP BY job;
COMMENT ON VIEW audit.job_outcomes IS
    'How each job ended that was charged, or (free_of) that makes a failed one again for free. Reads the whole log.';

CREATE OR REPLACE VIEW audit.double_outcomes AS
SELECT * FROM audit.job_outcomes
WHERE charges + free_of <> 1 OR refunds > 1 OR videos + failures > 1 OR gifts > 1 OR videos + refunds > 1
   OR refunds > failures OR gifts > failures OR refunds > charges;

CREATE OR REPLACE VIEW audit.unrefunded_failures AS
SELECT * FROM audit.job_outcomes WHERE failures > 0 AND refunded IS DISTINCT FROM charged;
