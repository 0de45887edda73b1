-- neurocards_app: what the services run as. auditor: reads, and nothing else.
-- Roles belong to the whole cluster, so another database may have made them already, even at this moment.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['neurocards_app', 'auditor'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- another migration was faster
        END;
    END LOOP;
    IF NOT pg_has_role(current_user, 'neurocards_app', 'MEMBER') THEN
        EXECUTE format('GRANT neurocards_app TO %I', current_user);
    END IF;
END $$;

GRANT USAGE ON SCHEMA public TO neurocards_app, auditor;
GRANT SELECT, INSERT ON events TO neurocards_app;
GRANT SELECT, INSERT, DELETE ON open_jobs TO neurocards_app;

GRANT USAGE ON SCHEMA audit TO neurocards_app, auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO neurocards_app, auditor;
GRANT SELECT ON events, open_jobs TO auditor;
GRANT SELECT ON schema_migrations TO neurocards_app, auditor;
