-- Who may look at the dashboard's pages, and their sessions. The dashboard's login has no right to these tables but to read
-- what is no secret; everything else is done by the functions below (docs/decisions/dashboard-login.md). None of them works
-- in a transaction that only reads, as all of a page's do, but those that find a session or a link by its hash.

CREATE TABLE dashboard_users (
    id            text        NOT NULL PRIMARY KEY,  -- random; `user:<id>` in events
    name          text        NOT NULL,              -- empty: erased
    role          text        NOT NULL CHECK (role IN ('auditor', 'operator', 'owner')),
    locale        text        NOT NULL DEFAULT '',   -- empty: as their browser asks
    invited_by    name        NOT NULL DEFAULT session_user,  -- the login that made the newest link
    password_hash text,                              -- argon2id; NULL: nobody gets in by a password
    totp_secret   bytea,
    totp_step     bigint      NOT NULL DEFAULT 0,    -- of the newest code that was used: each is used once
    link_hash     bytea       UNIQUE,                -- SHA-256 of the one-time link, and the secret that it offers
    link_secret   bytea,
    link_until    timestamptz,
    made_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at       timestamptz,
    removed_at    timestamptz
);
CREATE UNIQUE INDEX dashboard_users_name ON dashboard_users (name) WHERE removed_at IS NULL;

CREATE TABLE dashboard_sessions (
    number     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    text        NOT NULL REFERENCES dashboard_users,
    token_hash bytea       NOT NULL UNIQUE,          -- SHA-256 of the cookie
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,                          -- by a person; it ends by itself as well: dashboard_live
    address    text        NOT NULL,
    agent      text        NOT NULL
);
CREATE INDEX dashboard_sessions_user ON dashboard_sessions (user_id, seen_at);

-- Attempts to log in of the last quarter of an hour, under whatever name: a name that is nobody's counts as well.
CREATE TABLE dashboard_attempts (
    name_hash bytea       NOT NULL,
    address   text        NOT NULL,
    tried_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX dashboard_attempts_at ON dashboard_attempts (tried_at);

-- Sessions that count: seen within 12 hours, made within 7 days, not ended, of somebody who is still a user.
CREATE VIEW dashboard_live AS
SELECT s.number, s.user_id, u.name, u.role, u.locale, s.made_at, s.seen_at, s.address, s.agent
FROM dashboard_sessions s JOIN dashboard_users u ON u.id = s.user_id
WHERE s.ended_at IS NULL AND u.removed_at IS NULL AND s.seen_at > clock_timestamp() - interval '12 hours'
  AND s.made_at > clock_timestamp() - interval '7 days';

-- Makes a user, or gives one another role, with a link that is good for a day and once. The password and sessions that there
-- are stand until it is used. Returns the user's id.
CREATE FUNCTION ledger.invite_user(p_id text, p_name text, p_role text, p_link_hash bytea, p_link_secret bytea) RETURNS text
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO public.dashboard_users AS u (id, name, role, link_hash, link_secret, link_until)
    VALUES (p_id, p_name, p_role, p_link_hash, p_link_secret, clock_timestamp() + interval '1 day')
    ON CONFLICT (name) WHERE removed_at IS NULL
    DO UPDATE SET role = p_role, invited_by = session_user, link_hash = p_link_hash, link_secret = p_link_secret, link_until = excluded.link_until
    RETURNING u.id
$$;

-- Removes a user, whose sessions end at once; how many there were, NULL for nobody. The id, role and times stay, and the name
-- until it is erased: who did something in March has to be answered in June.
CREATE FUNCTION ledger.remove_user(p_name text, p_erase boolean) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids   text[];
    ended bigint;
BEGIN
    SELECT array_agg(u.id) INTO ids FROM public.dashboard_users u
    WHERE u.name = p_name AND p_name <> '' AND (u.removed_at IS NULL OR p_erase);
    IF ids IS NULL THEN RETURN NULL; END IF;
    SELECT count(*) INTO ended FROM public.dashboard_live l WHERE l.user_id = ANY (ids);
    UPDATE public.dashboard_users u
    SET removed_at = coalesce(u.removed_at, clock_timestamp()), password_hash = NULL, totp_secret = NULL, link_hash = NULL,
        link_secret = NULL, name = CASE WHEN p_erase THEN '' ELSE u.name END
    WHERE u.id = ANY (ids);
    DELETE FROM public.dashboard_sessions s WHERE s.user_id = ANY (ids);
    RETURN ended;
END $$;

-- Whom a link is for, and the secret it offers; nothing when it was used or is a day old.
CREATE FUNCTION ledger.invited(p_link_hash bytea) RETURNS TABLE (name text, role text, locale text, secret bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT u.name, u.role, u.locale, u.link_secret FROM public.dashboard_users u
    WHERE u.link_hash = p_link_hash AND u.link_until > clock_timestamp()
$$;

-- Uses a link up, and lets in. With a password it and the secret count from now on and all sessions end. NULL: the link is no
-- good any more.
CREATE FUNCTION ledger.accept_invitation(p_link_hash bytea, p_password_hash text, p_step bigint, p_locale text, p_token_hash bytea,
                                         p_address text, p_agent text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text;
BEGIN
    UPDATE public.dashboard_users u
    SET link_hash = NULL, link_secret = NULL, locale = p_locale, seen_at = clock_timestamp(),
        password_hash = coalesce(p_password_hash, u.password_hash), totp_step = coalesce(p_step, u.totp_step),
        totp_secret = CASE WHEN p_password_hash IS NULL THEN u.totp_secret ELSE u.link_secret END
    WHERE u.link_hash = p_link_hash AND u.link_until > clock_timestamp() RETURNING u.id INTO who;
    IF who IS NULL THEN RETURN NULL; END IF;
    IF p_password_hash IS NOT NULL THEN
        UPDATE public.dashboard_sessions s SET ended_at = clock_timestamp() WHERE s.user_id = who AND s.ended_at IS NULL;
    END IF;
    INSERT INTO public.dashboard_sessions (user_id, token_hash, address, agent) VALUES (who, p_token_hash, p_address, p_agent);
    RETURN who;
END $$;

-- Counts an attempt, and gives what it is checked by; nothing but `refused` after ten on one name or thirty from one address
-- within a quarter of an hour. From an address that the user had a session at in the last 30 days only its own attempts
-- count, so that nobody can lock somebody else out from elsewhere.
CREATE FUNCTION ledger.begin_login(p_name text, p_address text, OUT refused boolean, OUT id text, OUT password_hash text,
                                   OUT totp_secret bytea)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    whose bytea := sha256(convert_to(p_name, 'UTF8'));
    known boolean;
BEGIN
    DELETE FROM public.dashboard_attempts a WHERE a.tried_at < clock_timestamp() - interval '15 minutes';
    known := EXISTS (SELECT FROM public.dashboard_sessions s JOIN public.dashboard_users u ON u.id = s.user_id
                     WHERE u.name = p_name AND u.removed_at IS NULL AND s.address = p_address);
    SELECT count(*) FILTER (WHERE a.name_hash = whose AND (a.address = p_address OR NOT known)) >= 10
        OR count(*) FILTER (WHERE a.address = p_address) >= 30 INTO refused
    FROM public.dashboard_attempts a;
    IF refused THEN RETURN; END IF;
    INSERT INTO public.dashboard_attempts (name_hash, address) VALUES (whose, p_address);
    SELECT u.id, u.password_hash, u.totp_secret INTO id, password_hash, totp_secret
    FROM public.dashboard_users u WHERE u.name = p_name AND u.removed_at IS NULL;
END $$;

-- Opens a session for somebody who gave the right password and the code of this step; false when that code was used before.
-- Forgets their attempts from there, and sessions of a month ago.
CREATE FUNCTION ledger.open_session(p_user text, p_step bigint, p_token_hash bytea, p_address text, p_agent text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    whose bytea;
BEGIN
    UPDATE public.dashboard_users u SET totp_step = p_step, seen_at = clock_timestamp()
    WHERE u.id = p_user AND u.removed_at IS NULL AND u.totp_step < p_step
    RETURNING sha256(convert_to(u.name, 'UTF8')) INTO whose;
    IF whose IS NULL THEN RETURN false; END IF;
    DELETE FROM public.dashboard_attempts a WHERE a.name_hash = whose AND a.address = p_address;
    DELETE FROM public.dashboard_sessions s WHERE s.made_at < clock_timestamp() - interval '30 days';
    INSERT INTO public.dashboard_sessions (user_id, token_hash, address, agent) VALUES (p_user, p_token_hash, p_address, p_agent);
    RETURN true;
END $$;

-- Whose session it is.
CREATE FUNCTION ledger.session_of(p_token_hash bytea)
    RETURNS TABLE (session bigint, id text, name text, role text, locale text, unseen_s float8)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT l.number, l.user_id, l.name, l.role, l.locale, extract(epoch FROM clock_timestamp() - l.seen_at)::float8
    FROM public.dashboard_sessions s JOIN public.dashboard_live l USING (number) WHERE s.token_hash = p_token_hash
$$;

CREATE FUNCTION ledger.touch_session(p_number bigint) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.dashboard_users u SET seen_at = clock_timestamp()
    WHERE u.id = (SELECT l.user_id FROM public.dashboard_live l WHERE l.number = p_number);
    UPDATE public.dashboard_sessions s SET seen_at = clock_timestamp()
    WHERE s.number IN (SELECT l.number FROM public.dashboard_live l WHERE l.number = p_number)
$$;

-- Ends a session of this user, or of anybody when NULL.
CREATE FUNCTION ledger.end_session(p_number bigint, p_user text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.dashboard_sessions s SET ended_at = clock_timestamp()
    WHERE s.number = p_number AND s.ended_at IS NULL AND (p_user IS NULL OR s.user_id = p_user)
$$;

CREATE FUNCTION ledger.choose_language(p_user text, p_locale text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.dashboard_users u SET locale = p_locale WHERE u.id = p_user
$$;

GRANT CREATE ON SCHEMA public TO neurocards_log;  -- an owner needs it for a moment, unless a superuser names him
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT c.oid::regclass AS name FROM pg_class c
               WHERE c.relnamespace = 'public'::regnamespace AND c.relname ~ '^dashboard_' AND c.relkind IN ('r', 'v') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO neurocards_log', one.name);
    END LOOP;
    FOR one IN SELECT p.oid::regprocedure AS name FROM pg_proc p
               WHERE p.pronamespace = 'ledger'::regnamespace AND p.proowner <> 'neurocards_log'::regrole LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO neurocards_log', one.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', one.name);
    END LOOP;
END $$;
REVOKE CREATE ON SCHEMA public FROM neurocards_log;
GRANT EXECUTE ON FUNCTION ledger.invite_user, ledger.remove_user TO neurocards_operator;
GRANT EXECUTE ON FUNCTION ledger.invited, ledger.accept_invitation, ledger.begin_login, ledger.open_session, ledger.session_of,
    ledger.touch_session, ledger.end_session, ledger.choose_language TO neurocards_dashboard;
GRANT SELECT (id, name, role, locale, invited_by, made_at, seen_at, removed_at) ON dashboard_users
    TO neurocards_dashboard, neurocards_operator;
GRANT SELECT ON dashboard_live TO neurocards_dashboard, neurocards_operator;
