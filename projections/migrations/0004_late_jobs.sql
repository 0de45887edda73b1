-- The monitor looks for late results of jobs that failed with a task: few, and only the newest.
DO $$
DECLARE
    version_number int;
BEGIN
    FOR version_number IN SELECT version FROM cursors WHERE name = 'job_status' LOOP
        EXECUTE format('CREATE INDEX ON job_status_v%s (ended_at_us, job)
            WHERE state = ''failed'' AND NOT gifted AND task <> ''''', version_number);
    END LOOP;
END $$;
