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
-- $1 after this position
SELECT audit.event_bytes(position, stream, version, type, data::text, recorded_at_us, key, body_hash, command_events, writer),
       hash
FROM events WHERE position > $1 ORDER BY position

-- name: command_at
-- The last event up to a position that begins a command, and the time at the position. $1 position
SELECT position, command_events, (SELECT recorded_at_us FROM events WHERE position = $1) AS recorded_at_us
FROM events WHERE position <= $1 AND command_events IS NOT NULL ORDER BY position DESC LIMIT 1

-- name: count_rows
-- How many rows a read model has.
SELECT count(*) FROM {table}

-- name: log_schema
-- How the log and the functions that append to it are made: owners, rights, sources, triggers; expected_schema.txt has what
-- they should be. Names are whole when the search path is empty. The text of a body in standard SQL depends on Postgres's
-- version. $1 the version whose text we know
WITH made (name, kind, owner, acl, facts) AS (
    SELECT 'schema ' || n.nspname, 'n'::"char", n.nspowner, n.nspacl, '{}'::text[]
    FROM pg_namespace n WHERE n.nspname = 'ledger'
    UNION ALL
    SELECT 'function ' || p.oid::regprocedure, 'f', CASE WHEN n.nspname = 'ledger' THEN p.proowner END,
           coalesce(p.proacl, acldefault('f', p.proowner)),
           ARRAY['definer=' || p.prosecdef, 'volatility=' || p.provolatile::text, 'language=' || l.lanname,
                 'settings=' || coalesce(array_to_string(p.proconfig, ', '), ''),
                 'source=' || CASE
                     WHEN p.prosqlbody IS NULL THEN encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex')
                     WHEN current_setting('server_version_num')::int / 10000 <> $1::int THEN '?'
                     ELSE encode(sha256(convert_to(pg_get_function_sqlbody(p.oid), 'UTF8')), 'hex') END]
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    WHERE n.nspname = 'ledger' OR (n.nspname, p.proname) IN (
        ('public', 'refuse_rewriting'), ('audit', 'event_bytes'), ('audit', 'event_hash'))
    UNION ALL
    SELECT 'table ' || c.oid::regclass, 'r', c.relowner, c.relacl,
           ARRAY['persistence=' || c.relpersistence::text, 'rules=' || c.relhasrules, 'row security=' || c.relrowsecurity,
                 'columns granted=' || (SELECT coalesce(string_agg(a.attname, ', ' ORDER BY a.attname), '')
                                        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)]
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (n.nspname, c.relname) IN (
        ('public', 'events'), ('public', 'open_jobs'), ('public', 'checkpoints'), ('public', 'snapshots'),
        ('ledger', 'append_lock'), ('ledger', 'event_rights'))
    UNION ALL
    SELECT format('trigger %I of %s', t.tgname, t.tgrelid::regclass), NULL, NULL, NULL,
           ARRAY['enabled=' || t.tgenabled::text, 'definition=' || pg_get_triggerdef(t.oid)]
    FROM pg_trigger t
    WHERE NOT t.tgisinternal AND t.tgrelid IN (
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'ledger' OR (n.nspname, c.relname) IN (
            ('public', 'events'), ('public', 'open_jobs'), ('public', 'checkpoints'), ('public', 'snapshots')))
    UNION ALL
    SELECT rtrim('right to append ' || r.type || ' ' || r.kind), NULL, NULL, NULL,
           ARRAY['in=' || r.stream, 'waits=' || r.waits, 'roles=' || array_to_string(r.roles, ', ')]
    FROM ledger.event_rights r
)
SELECT m.name,
       CASE WHEN m.owner IS NOT NULL THEN ARRAY['owner=' || pg_get_userbyid(m.owner)] ELSE '{}' END || m.facts
       || CASE WHEN m.kind IS NULL THEN '{}' ELSE ARRAY['granted=' || (
              SELECT coalesce(string_agg(CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
                                         || ' ' || a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END,
                                         ', ' ORDER BY pg_get_userbyid(a.grantee) COLLATE "C", a.privilege_type), '')
              FROM aclexplode(m.acl) AS a WHERE a.grantee <> coalesce(m.owner, a.grantor))] END AS facts
FROM made m ORDER BY m.name COLLATE "C"

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

-- name: guards
-- What protects the log, and whether it is on.
WITH wanted (what, name) AS (VALUES
    ('index', 'events_pkey'), ('index', 'events_stream_version'),
    ('index', 'events_key'), ('index', 'events_one_charge_per_job'), ('index', 'events_one_refund_per_job'),
    ('index', 'events_one_end_per_job'), ('index', 'events_one_gift_per_job'),
    ('index', 'events_one_success_per_payment'), ('index', 'events_one_refunded_per_refund'),
    ('index', 'events_one_use_per_account'), ('index', 'events_one_reward_per_invited'), ('constraint', 'events_whole'),
    ('not null', 'position'), ('not null', 'stream'), ('not null', 'version'), ('not null', 'type'),
    ('not null', 'data'), ('not null', 'recorded_at_us'), ('not null', 'hash')
)
SELECT what, name FROM wanted
WHERE CASE what
    WHEN 'constraint' THEN NOT EXISTS (
        SELECT FROM pg_constraint c
        WHERE c.conname = wanted.name AND c.conrelid = 'events'::regclass AND c.convalidated)
    WHEN 'not null' THEN NOT EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attname = wanted.name AND a.attrelid = 'events'::regclass AND a.attnotnull)
    ELSE NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relname = wanted.name AND i.indrelid = 'events'::regclass
          AND i.indisunique AND i.indisvalid AND i.indisready)
    END

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
-- The events later than a moment: the first, how many, and the latest time. $1 after this position, $2 the moment
SELECT min(position) AS first, count(*) AS events, max(recorded_at_us) AS latest_us
FROM events WHERE position > $1 AND recorded_at_us > $2::bigint

-- name: models
-- Every event, as much of it as a read model folds. $1 after this position
SELECT position, stream, version, type, data::text AS data, recorded_at_us
FROM events WHERE position > $1 ORDER BY position

-- name: notes
-- Signed notes in the order they were stored, and what the log has where they were signed.
SELECT c.number, c.kind, c.position, c.hash, c.note,
       to_char(c.made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS made_at, e.hash AS log_hash
FROM checkpoints c LEFT JOIN events e USING (position)
ORDER BY c.number

-- name: open_jobs
-- The unfinished jobs as the table has them, of those queued after a position. $1 after this position
SELECT job, account, position, deadline_at_us FROM open_jobs WHERE position > $1

-- name: open_rights
-- Rights of everybody that no login should have, as the statements that take them away.
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
