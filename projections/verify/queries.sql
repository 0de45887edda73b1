-- name: around
-- The row at a position, the one before and the one after it. $1 position
(SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer, recorded_at_us, hash
 FROM events WHERE position < $1 ORDER BY position DESC LIMIT 1)
UNION ALL
(SELECT position, stream, version, type, data::text, key, body_hash, command_events, writer, recorded_at_us, hash
 FROM events WHERE position >= $1 ORDER BY position LIMIT 2)
ORDER BY position

-- name: chain
-- For every event: what its hash covers besides the hash before it, as ledger/log/hash_chain.py describes, and its hash.
-- The server puts the bytes together: sent as one column they cost a third of what ten columns do.
-- $1 after this position, $2 up to this one
SELECT audit.event_bytes(position, stream, version, type, data::text, recorded_at_us, key, body_hash, command_events, writer),
       hash
FROM events WHERE position > $1 AND position <= $2 ORDER BY position

-- name: command_at
-- The last event up to a position that begins a command, and the time at the position. $1 position
SELECT position, command_events, (SELECT recorded_at_us FROM events WHERE position = $1) AS recorded_at_us
FROM events WHERE position <= $1 AND command_events IS NOT NULL ORDER BY position DESC LIMIT 1

-- name: count_rows
-- How many rows a read model has.
SELECT count(*) FROM {table}

-- name: decision_times
-- When events about credits were decided that were not decided within the five seconds before their stamp. $1 after this position
SELECT e.position, t.decided_us
FROM ledger.decision_times t JOIN events e ON e.position BETWEEN t.first AND t.last
WHERE t.last > $1 AND starts_with(e.type, 'Credits')

-- name: decision_times_wrong
-- The first position of batches that by their clocks could not be decided or stamped when they were. $1 after this position
SELECT t.first, t.decided_us
FROM ledger.decision_times t
LEFT JOIN events h ON h.position = t.first - 1
LEFT JOIN events e ON e.position = t.first,
LATERAL (SELECT coalesce(h.recorded_at_us, 0) AS head_us, least(t.clock_us, t.wall_us, t.witness_us, h.recorded_at_us) >= 0
         AND greatest(t.clock_us, t.wall_us, t.witness_us, h.recorded_at_us) < 4e18 AS can_be) AS l
LEFT JOIN LATERAL (SELECT * FROM ledger.judge_time(t.clock_us, l.head_us, t.wall_us, t.witness_us)
                   WHERE l.can_be OFFSET 0) AS j ON true
WHERE t.first > $1
  AND (t.decided_us BETWEEN j.believed_us - 5000000 AND j.believed_us
       AND e.recorded_at_us = greatest(least(t.decided_us, t.clock_us), l.head_us)) IS DISTINCT FROM true
ORDER BY t.first

-- name: deliveries
-- Messages that the log does not owe as they are, and what it owes and is not there: after the oldest settled one that is kept,
-- up to the notifier's cursor. $1 after this position
SELECT d.position, format('the %s message of %s is not what the log says', d.kind, d.job) AS said
FROM deliveries d LEFT JOIN events e USING (position)
LEFT JOIN events first ON first.stream = e.stream AND first.version = 1 AND first.data ->> 'account' = d.account
WHERE d.position > $1 AND NOT coalesce(CASE
    WHEN d.kind IN ('video', 'gift') THEN
        e.stream = 'job-' || d.job AND e.type = CASE d.kind WHEN 'video' THEN 'JobSucceeded' ELSE 'VideoGifted' END
        AND (d.blob, d.size_bytes) = (e.data -> 'video' ->> 'blob', (e.data -> 'video' ->> 'size_bytes')::bigint)
        AND first.position > 0
    WHEN d.kind = 'failure' THEN
        e.stream = 'job-' || d.job AND e.type = 'JobFailed' AND d.refunded = (first.data ->> 'price')::bigint
    WHEN d.kind IN ('paid', 'paid_again') THEN
        e.stream = 'payment-' || d.job AND e.type = 'PaymentSucceeded' AND first.position > 0
    ELSE e.stream = 'account-' || d.account AND e.type = 'CreditsGranted' AND (e.data ->> 'amount')::bigint = d.refunded
        AND CASE d.kind WHEN 'grant' THEN (e.data ->> 'kind', e.position::text) = ('manual', d.job)
                        ELSE e.data ->> 'reference' = 'referral:' || d.job END END, false)
UNION ALL
SELECT o.position, format('the message of %s is owed since position %s, and was never written down', o.stream, o.position)
FROM (
    SELECT position, stream, recorded_at_us, CASE type WHEN 'JobSucceeded' THEN 'video' ELSE 'failure' END AS kind
    FROM events WHERE type IN ('JobSucceeded', 'JobFailed')
    UNION ALL
    SELECT position, stream, recorded_at_us, 'gift' FROM events WHERE type = 'VideoGifted'
    UNION ALL
    SELECT position, stream, recorded_at_us, 'paid' FROM events WHERE type = 'PaymentSucceeded'
) AS o
WHERE o.position > $1 AND o.position <= (SELECT position FROM cursors WHERE name = 'notifier' AND active)
  AND o.recorded_at_us > (SELECT extract(epoch FROM min(owed_at)) * 1000000 FROM deliveries
                          WHERE state NOT IN ('pending', 'sending'))
  AND NOT EXISTS (SELECT FROM deliveries d WHERE d.job = substr(o.stream, strpos(o.stream, '-') + 1) AND d.kind = o.kind)
ORDER BY 1 LIMIT 100

-- name: extra_rows
-- Rows of a read model whose stream does not begin in the log up to its cursor.
-- $1 what the stream's name begins with, $2 the cursor's position
SELECT t.{key} FROM {table} t
WHERE NOT EXISTS (SELECT FROM events e WHERE e.stream = $1 || t.{key} AND e.version = 1 AND e.position <= $2)
LIMIT 6

-- name: gifts
-- Everything about promo codes and invitations, by indexes, each row with the position its command begins at.
WITH found AS (
    SELECT position FROM events WHERE stream IN (SELECT stream FROM events WHERE type = 'PromoCreated')
    UNION
    SELECT position FROM events WHERE type = 'PromoRedeemed'
    UNION
    SELECT position FROM events WHERE type = 'InvitationRewarded'
    UNION
    SELECT position FROM events WHERE type = 'AccountOpened' AND (data ->> 'invited_by') <> ''
    UNION
    SELECT position FROM events
    WHERE type = 'CreditsGranted' AND (data ->> 'kind') IN ('promo', 'referral') AND data ->> 'reference' IS NOT NULL
)
SELECT e.position, e.stream, e.version, e.type, c.position AS command, e.recorded_at_us, e.data::text AS data
FROM found
JOIN events e USING (position)
CROSS JOIN LATERAL (
    SELECT position FROM events
    WHERE position <= e.position AND command_events IS NOT NULL ORDER BY position DESC LIMIT 1
) AS c
ORDER BY e.position

-- name: histories
-- What the rules need of some streams up to a position, and the charges and refunds of some jobs.
-- $1 streams, $2 jobs, $3 up to this position
SELECT position, stream, version, type, command_events, recorded_at_us, data::text AS data
FROM events WHERE stream = ANY ($1::text[]) AND position <= $3
UNION ALL
SELECT position, stream, version, type, command_events, recorded_at_us, data::text
FROM events WHERE type = 'CreditsCharged' AND data ->> 'job' = ANY ($2::text[]) AND position <= $3
UNION ALL
SELECT position, stream, version, type, command_events, recorded_at_us, data::text
FROM events WHERE type = 'CreditsRefunded' AND data ->> 'job' = ANY ($2::text[]) AND position <= $3
ORDER BY position

-- name: later_than
-- The events later than a moment: the first, how many, and the latest time. What was corrected since is left out.
-- $1 after this position, $2 up to this one or NULL, $3 the moment
SELECT min(e.position) AS first, count(*) AS events, max(e.recorded_at_us) AS latest_us
FROM events e
WHERE e.position > $1 AND e.position <= coalesce($2, e.position) AND e.recorded_at_us > $3::bigint
  AND NOT EXISTS (SELECT FROM audit.corrections c WHERE e.position >= c.from_position AND e.position < c.position)

-- name: models
-- Every event, as much of it as a read model folds. $1 after this position
SELECT position, stream, version, type, data::text AS data, recorded_at_us
FROM events WHERE position > $1 ORDER BY position

-- name: open_jobs
-- The unfinished jobs as the table has them, of those queued after a position. $1 after this position
SELECT job, account, position, deadline_at_us FROM open_jobs WHERE position > $1

-- name: open_rights
-- Rights of everybody that no login should have, as the statements that take them away; before them those that give
-- ours what a superuser alone could give them.
SELECT 'GRANT pg_signal_backend, pg_read_all_stats TO neurocards_log'
WHERE NOT pg_has_role('neurocards_log', 'pg_signal_backend', 'MEMBER')
   OR NOT pg_has_role('neurocards_log', 'pg_read_all_stats', 'MEMBER')
UNION ALL
SELECT 'GRANT EXECUTE ON FUNCTION ' || string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.oid::regprocedure::text)
       || ' TO neurocards_bot, neurocards_maintenance, neurocards_operator, pg_database_owner'
FROM pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ '^pg_(try_)?advisory_(xact_)?lock'
  AND (SELECT count(*) FROM aclexplode(p.proacl) AS a WHERE a.grantee = ANY (ARRAY[
      'neurocards_bot', 'neurocards_maintenance', 'neurocards_operator', 'pg_database_owner']::regrole[])) < 4
HAVING count(*) > 0
UNION ALL
SELECT 'REVOKE CONNECT ON DATABASE ' || string_agg(quote_ident(d.datname), ', ' ORDER BY d.datname) || ' FROM PUBLIC'
FROM pg_database d WHERE d.datallowconn AND has_database_privilege('public', d.oid, 'CONNECT') HAVING count(*) > 0
UNION ALL
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database())
WHERE has_database_privilege('public', current_database(), 'TEMPORARY')
UNION ALL
SELECT 'REVOKE CREATE ON SCHEMA public FROM PUBLIC' WHERE has_schema_privilege('public', 'public', 'CREATE')
UNION ALL
SELECT 'REVOKE EXECUTE ON FUNCTION ' || string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.oid::regprocedure::text)
       || ' FROM PUBLIC'
FROM pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace
  AND (p.proname ~ '^pg_(try_)?advisory_(xact_)?lock' OR p.proname ~ '^(lo_|loread$|lowrite$)')
  AND has_function_privilege('public', p.oid, 'EXECUTE')
HAVING count(*) > 0

-- name: position_of_hash
-- Where a hash stands in the log. Reads all rows: only asked after damage. $1 hash
SELECT position FROM events WHERE hash = $1 LIMIT 1

-- name: remembered_positions
-- What consumers remember of the log, and what the log has there.
SELECT c.name, c.position, c.hash, e.hash AS log_hash
FROM cursors c LEFT JOIN events e USING (position)
WHERE c.active ORDER BY c.name

-- name: rules
-- Every event, as much of it as the rules need. $1 after this position, $2 types whose data is needed
SELECT position, stream, version, type, command_events, recorded_at_us,
       CASE WHEN type = ANY ($2::text[]) THEN data::text END AS data
FROM events WHERE position > $1 ORDER BY position

-- name: schema
-- How everything of ours is made: owners, rights, definitions, roles; expected_schema.txt has what it should be. Of a read
-- model the table that its cursor names, `balances_v*`; its other versions come and go. Names are whole when the search path
-- is empty. What a view or a body in standard SQL reads as depends on Postgres's version. $1 the versions whose text we know
WITH owner AS (SELECT datdba FROM pg_database WHERE datname = current_database()),
ours AS (SELECT unnest('{ledger, audit, public}'::name[]) AS nspname),
roles AS (
    SELECT r.*, ours, r.oid IN (10, o.datdba) AND (NOT ours OR r.rolname = 'neurocards_operator') AS owns
    FROM owner o, pg_roles r, LATERAL (SELECT r.rolname ~ ('^neurocards_(log|reader|app|web|bot|worker|monitor|maintenance|'
                                                           'operator|relay|projector|notifier|dashboard)$') AS ours) AS named
), versions AS (
    SELECT name, active, name || '_v' || version AS made, name || '_v*' AS shown FROM public.cursors WHERE name <> 'notifier'
), foreign_things AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
relations AS (
    SELECT c.*, n.nspname, coalesce(v.made, '') AS made, coalesce(v.shown, '') AS shown,
           replace(c.oid::regclass::text, coalesce(v.made, ''), coalesce(v.shown, '')) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN ours USING (nspname)
    LEFT JOIN versions v ON n.nspname = 'public' AND v.active AND c.relname IN (v.made, v.name)
    WHERE c.relkind NOT IN ('i', 'I', 't')
      AND NOT EXISTS (SELECT FROM versions WHERE made = c.relname AND NOT active AND n.nspname = 'public')
      AND (1259, c.oid) NOT IN (SELECT classid, objid FROM foreign_things)
), made (name, owner, acl, facts) AS (
    SELECT 'schema ' || n.nspname, n.nspowner, n.nspacl, '{}'::jsonb
    FROM pg_namespace n WHERE n.nspname IN (SELECT nspname FROM ours UNION ALL SELECT rolname FROM pg_roles)
    UNION ALL
    SELECT CASE r.relkind WHEN 'r' THEN 'table ' WHEN 'v' THEN 'view ' WHEN 'S' THEN 'sequence ' ELSE 'relation ' END || r.name,
           r.relowner, r.relacl,
           jsonb_build_object(
               'persistence', nullif(r.relpersistence, 'p'),
               'row security', concat_ws(', ', CASE WHEN r.relrowsecurity THEN 'on' END,
                                         CASE WHEN r.relforcerowsecurity THEN 'forced' END),
               'children', (SELECT string_agg(i.inhrelid::regclass::text, ', ') FROM pg_inherits i WHERE i.inhparent = r.oid),
               'parents', (SELECT string_agg(i.inhparent::regclass::text, ', ') FROM pg_inherits i WHERE i.inhrelid = r.oid),
               'options', CASE WHEN r.relkind = 'v' THEN array_to_string(r.reloptions, ', ') END,
               'source', CASE WHEN r.relkind NOT IN ('v', 'm') THEN NULL
                              WHEN current_setting('server_version_num')::int / 10000 <> ALL ($1::int[]) THEN '?'
                              ELSE replace(pg_get_viewdef(r.oid), r.made, r.shown) END)
    FROM relations r
    UNION ALL
    SELECT 'column ' || r.name || '.' || quote_ident(a.attname), r.relowner, a.attacl,
           jsonb_build_object(
               'type', format_type(a.atttypid, a.atttypmod),
               'collation', (SELECT l.collname FROM pg_collation l JOIN pg_type t ON t.oid = a.atttypid
                             WHERE l.oid = a.attcollation AND l.oid <> t.typcollation),
               'null', NOT a.attnotnull, 'made', nullif(concat(a.attgenerated, a.attidentity), ''),
               'default', (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
                           WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum))
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND (r.relkind IN ('r', 'p', 'f') OR a.attacl IS NOT NULL)
    UNION ALL
    SELECT format('constraint %s of %s', replace(c.conname, r.made, r.shown), r.name), NULL, NULL,
           jsonb_build_object(
               'definition', pg_get_constraintdef(c.oid),
               'triggers', (SELECT string_agg(DISTINCT t.tgenabled::text, '') FROM pg_trigger t WHERE t.tgconstraint = c.oid))
    FROM relations r JOIN pg_constraint c ON c.conrelid = r.oid
    WHERE c.contype <> 'n' OR NOT c.convalidated
    UNION ALL
    SELECT 'index ' || replace(i.indexrelid::regclass::text, r.made, r.shown), NULL, NULL,
           jsonb_build_object('definition', replace(pg_get_indexdef(i.indexrelid), r.made, r.shown),
                              'off', NOT (i.indisvalid AND i.indisready AND i.indislive))
    FROM relations r JOIN pg_index i ON i.indrelid = r.oid WHERE i.indisunique
    UNION ALL
    SELECT format('trigger %I of %s', t.tgname, r.name), NULL, NULL,
           jsonb_build_object('enabled', t.tgenabled, 'definition', pg_get_triggerdef(t.oid))
    FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT format('rule %I of %s', w.rulename, r.name), NULL, NULL,
           jsonb_build_object('enabled', w.ev_enabled, 'definition', pg_get_ruledef(w.oid))
    FROM relations r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'
    UNION ALL
    SELECT format('policy %I of %s', p.polname, r.name), NULL, NULL, '{}' FROM relations r JOIN pg_policy p ON p.polrelid = r.oid
    UNION ALL
    SELECT format('event trigger %I', evtname), NULL, NULL, '{}' FROM pg_event_trigger
    WHERE (3466, oid) NOT IN (SELECT classid, objid FROM foreign_things)
    UNION ALL
    SELECT format('cast %s to %s', format_type(castsource, NULL), format_type(casttarget, NULL)), NULL, NULL, '{}' FROM pg_cast
    WHERE oid >= 16384 AND (2605, oid) NOT IN (SELECT classid, objid FROM foreign_things)
    UNION ALL
    SELECT 'function ' || p.oid::regprocedure, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)),
           jsonb_build_object(
               'definer', p.prosecdef, 'volatility', p.provolatile, 'strict', p.proisstrict, 'language', l.lanname,
               'returns', pg_get_function_result(p.oid), 'defaults', pg_get_expr(p.proargdefaults, 0),
               'settings', array_to_string(p.proconfig, ', '),
               'source', CASE WHEN p.prosqlbody IS NULL THEN p.prosrc
                              WHEN current_setting('server_version_num')::int / 10000 <> ALL ($1::int[]) THEN '?'
                              ELSE pg_get_function_sqlbody(p.oid) END)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    WHERE (n.nspname IN (SELECT nspname FROM ours)  -- or a built-in one that was replaced, or added to
           OR n.nspname = 'pg_catalog' AND (p.oid >= 16384 OR l.lanname NOT IN ('internal', 'c', 'sql')
               OR l.lanname <> 'internal' AND p.proname IN ('sha256', 'int4send', 'int8send', 'convert_to', 'octet_length')))
      AND (1255, p.oid) NOT IN (SELECT classid, objid FROM foreign_things)
    UNION ALL
    SELECT rtrim('right to append ' || r.type || ' ' || r.kind), NULL, NULL,
           jsonb_build_object('in', r.stream, 'waits', r.waits, 'roles', array_to_string(r.roles, ', '))
    FROM ledger.event_rights r
    UNION ALL
    SELECT format('migration %s/%s', m.package, m.name), NULL, NULL, '{}' FROM public.schema_migrations m
    UNION ALL
    -- Who is one of ours, or can do what they can; auditors come and go. The database's owner can do all of it anyway.
    SELECT 'role ' || r.rolname, NULL, NULL, facts FROM (
        SELECT r.rolname, r.ours, jsonb_build_object(
            'can', CASE WHEN r.owns THEN '?' ELSE concat_ws(', ',
                CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolcanlogin THEN 'login' END,
                CASE WHEN r.rolcreaterole THEN 'createrole' END, CASE WHEN r.rolcreatedb THEN 'createdb' END,
                CASE WHEN r.rolreplication THEN 'replication' END, CASE WHEN r.rolbypassrls THEN 'bypassrls' END) END,
            'in', CASE WHEN r.owns THEN '?' WHEN r.ours THEN (
                SELECT string_agg(DISTINCT g.rolname || CASE WHEN m.admin_option THEN '*' ELSE '' END, ', ')
                FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid) END,
            'members', (
                SELECT string_agg(DISTINCT g.rolname, ', ') FROM pg_auth_members m JOIN roles g ON g.oid = m.member
                WHERE m.roleid = r.oid AND NOT g.ours AND NOT g.owns
                  AND NOT (r.rolname = 'neurocards_reader' AND g.rolname ~ '^auditor_')),
            'settings', CASE WHEN r.owns AND r.ours THEN '?' ELSE s.settings END) AS facts
        FROM (SELECT oid, rolname, ours, owns, rolsuper, rolcanlogin, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
              FROM roles UNION ALL
              SELECT 0, 'PUBLIC', false, false, false, false, false, false, false, false) AS r
        LEFT JOIN LATERAL (
            SELECT string_agg(DISTINCT one, ', ') AS settings FROM pg_db_role_setting d, unnest(d.setconfig) AS one, owner
            WHERE d.setrole = r.oid AND d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
              AND one ~ '^(session_replication_role|row_security|search_path|role|.*_preload_libraries|synchronous_commit)='
        ) AS s ON true
        WHERE r.ours OR s.settings <> '' OR r.rolsuper OR r.rolname IN ('pg_write_all_data', 'pg_write_server_files',
                                                                       'pg_execute_server_program')
    ) AS r WHERE r.ours OR facts ->> 'members' <> '' OR facts ->> 'settings' <> '' OR facts ->> 'can' ~ 'superuser'
    UNION ALL
    SELECT 'setting session_replication_role', NULL, NULL, jsonb_build_object('value', current_setting('session_replication_role'))
    WHERE current_setting('session_replication_role') <> 'origin'
)
SELECT m.name,
       (m.facts || jsonb_build_object(
           'owner', CASE WHEN m.name ~ '^column ' THEN NULL WHEN r.owns THEN 'the database''s owner' ELSE r.rolname END,
           'granted', (
               SELECT string_agg(CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
                                 || ' ' || a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END,
                                 ', ' ORDER BY pg_get_userbyid(a.grantee) COLLATE "C", a.privilege_type)
               FROM aclexplode(m.acl) AS a WHERE a.grantee <> m.owner)))::text AS facts
FROM made m LEFT JOIN roles r ON r.oid = m.owner ORDER BY m.name COLLATE "C"

-- name: snapshots
-- Cached states of accounts that the appender would use, and whether the log holds the event each names.
-- $1 the format it reads
SELECT s.stream, s.version, s.position, s.state::text AS state,
       coalesce(e.stream = s.stream AND e.version = s.version AND e.hash = s.hash, false) AS held
FROM snapshots s LEFT JOIN events e USING (position)
WHERE s.format = $1

-- name: streams_before
-- The same of some streams before a position, in order. $1 streams, $2 before this position
SELECT position, stream, version, type, data::text AS data, recorded_at_us
FROM events WHERE stream = ANY ($1::text[]) AND position < $2 ORDER BY position

-- name: streams_ending
-- Streams that go up to a version and no further: a row of the next version may have stood there.
-- Reads all rows: only asked after damage. $1 versions
SELECT e.version, e.stream FROM events e
WHERE e.version = ANY ($1::bigint[])
  AND NOT EXISTS (SELECT FROM events later WHERE later.stream = e.stream AND later.version = e.version + 1)
LIMIT 200000

-- name: torn_streams
-- Streams whose versions are not 1 to their count: rows came or went. Reads all rows: only asked after damage.
SELECT stream FROM events GROUP BY stream
HAVING max(version) <> count(*) OR min(version) <> 1
LIMIT 200

-- name: wrong_corrections
-- What is wrong about corrections of the log's time: who made them, where they begin, and what they had to give back.
-- Of bought credits less may come back, when money did too.
WITH expired AS (
    SELECT DISTINCT e.* FROM audit.corrections c
    CROSS JOIN LATERAL audit.expired_early(c.from_position, c.position, c.to_us) AS e
)
SELECT position, format('the log''s time was taken back at position %s by %s, who calls themselves %s and is %s operator, from position %s on',
                        position, writer, actor, CASE WHEN operator THEN 'an' ELSE 'no' END, from_position) AS wrong
FROM (SELECT c.*, EXISTS (SELECT FROM pg_roles r WHERE r.rolname = c.writer
                                                   AND pg_has_role(r.oid, 'neurocards_operator', 'MEMBER')) AS operator
      FROM audit.corrections c) AS c
WHERE NOT operator OR (actor = 'login:' || writer AND from_position <= position AND audit.time_at(from_position) > to_us
                       AND coalesce(audit.time_at(from_position - 1), 0) <= to_us) IS DISTINCT FROM true
UNION ALL
SELECT position, format('%s credits of lot %s of %s expired at position %s by a clock that was ahead, and %s came back: '
                        'neurocards clock correct', amount, lot, stream, position, returned)
FROM expired
WHERE returned > amount OR returned < amount AND NOT EXISTS (
    SELECT FROM events b WHERE b.stream = 'payment-' || payment AND b.type IN ('RefundIntended', 'PaymentRefunded'))
UNION ALL
SELECT g.position, format('credits of %s came back at position %s, and no clock had made them expire', g.stream, g.position)
FROM events g
WHERE g.type = 'CreditsGranted' AND g.data ->> 'kind' = 'correction' AND NOT EXISTS (
    SELECT FROM expired e
    WHERE e.stream = g.stream AND 'clock:' || e.position = g.data ->> 'reference' AND e.lot::text = g.data ->> 'from_lot')
ORDER BY 1
