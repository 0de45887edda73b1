"""Everything of ours against what the migrations make: what its owner changed is found and named."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from projections.models.balances import BALANCES
from projections.rebuild import shadow_table
from projections.rebuild.run import rebuild
from projections.verify import schema_drift
from projections.verify.run import check_ledger
from services.cli.doctor.servers import check_database
from services.local.binaries import find_postgres
from services.local.postgres import EmbeddedPostgres
from services.platform.settings import Settings
from tests.support.expected_schema import FILE, definitions
from tests.support.servers import SessionPostgres

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

LOCK_FREE = """CREATE OR REPLACE FUNCTION ledger.enter(
    p_cursors bigint[], p_cursor_hashes bytea[], p_wall_us bigint, p_witness_us bigint, OUT outcome text,
    OUT "position" bigint, OUT hash bytea, OUT head_us bigint, OUT clock_us bigint,
    OUT believed_us bigint) LANGUAGE plpgsql VOLATILE AS $$ BEGIN outcome := 'ok'; END $$"""


@pytest.fixture
async def superuser(database_url: str, postgres: SessionPostgres) -> AsyncIterator["Connection"]:
    name = database_url.partition("?")[0].rpartition("/")[2]
    connection = await asyncpg.connect(postgres.url(name, "postgres"))
    try:
        yield connection
    finally:
        await connection.close()


async def test_the_file_is_what_the_migrations_make(own_postgres: EmbeddedPostgres) -> None:
    assert FILE.read_text("utf-8") == await definitions(own_postgres.url()), (
        "a migration or a read model has changed: python -m tests.support.expected_schema"
    )


async def test_the_caller_s_search_path_makes_no_difference_and_stays(pool) -> None:
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute("SET LOCAL search_path = audit, ledger, public, pg_catalog")
        assert await schema_drift.differences(connection) == []
        assert await connection.fetchval("SHOW search_path") == "audit, ledger, public, pg_catalog"


CHANGES = [
    ("ALTER FUNCTION ledger.append OWNER TO postgres",
     "function ledger.append(%: owner is the database's owner"),
    ("ALTER TABLE events OWNER TO postgres", "table public.events: owner is the database's owner"),
    ("ALTER TABLE cursors OWNER TO neurocards_web", "table public.cursors: owner is neurocards_web"),
    ("ALTER SCHEMA ledger OWNER TO postgres", "schema ledger: owner is the database's owner"),
    (LOCK_FREE, "function ledger.enter(%: source is "),
    ("ALTER FUNCTION ledger.append SECURITY INVOKER", "function ledger.append(%: definer is nothing"),
    ("ALTER FUNCTION ledger.append RESET search_path", "function ledger.append(%: settings is enable_"),
    ("ALTER FUNCTION ledger.enter STABLE", "function ledger.enter(%: volatility is s"),
    ("GRANT EXECUTE ON FUNCTION ledger.enter TO PUBLIC", "function ledger.enter(%: granted is PUBLIC "),
    ("CREATE FUNCTION ledger.back() RETURNS int RETURN 1", "function ledger.back() is not ours"),
    ("DROP FUNCTION ledger.hindrances CASCADE", "function ledger.hindrances() is missing"),
    ("CREATE OR REPLACE FUNCTION ledger.clock() RETURNS bigint LANGUAGE sql VOLATILE RETURN 1",
     "function ledger.clock(): source is "),
    ("CREATE OR REPLACE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS "
     "$$ BEGIN RETURN NULL; END $$", "function public.refuse_rewriting(): source is "),
    ("CREATE OR REPLACE FUNCTION audit.balance_at(account text, \"position\" bigint) RETURNS bigint "
     "LANGUAGE sql STABLE PARALLEL SAFE RETURN 1000", "function audit.balance_at(text,bigint): source is "),
    ("CREATE OR REPLACE VIEW audit.trial_balance AS SELECT 'user:a' AS account, 0::bigint AS balance, "
     "1::bigint AS transfers", "view audit.trial_balance: source is "),
    ("CREATE OR REPLACE VIEW audit.overdrafts AS SELECT * FROM (SELECT position, ''::text AS account, "
     "1::bigint AS amount, 0::numeric AS balance FROM events) AS none WHERE false",
     "view audit.overdrafts: source is "),
    ("ALTER VIEW audit.events SET (security_invoker = true)", "view audit.events: options is security_inv"),
    ("DO $$ BEGIN EXECUTE 'CREATE OR REPLACE VIEW balances AS ' || "
     "replace(pg_get_viewdef('balances'::regclass), "
     "' balance,', ' 9 + balance AS balance,'); END $$", "view public.balances: source is "),
    ("GRANT INSERT ON events TO neurocards_bot", "table public.events: granted is neurocards_bot INSERT"),
    ("GRANT UPDATE ON events TO neurocards_web",
     "table public.events: granted is neurocards_reader SELECT, n"),
    ("GRANT UPDATE (data) ON events TO neurocards_bot",
     "column public.events.data: granted is neurocards_bot "),
    ("GRANT DELETE ON model_changes TO neurocards_app", "table public.model_changes: granted is "),
    ("GRANT ALL ON ledger.append_lock TO PUBLIC", "table ledger.append_lock: granted is "),
    ("GRANT UPDATE ON snapshots TO neurocards_web", "table public.snapshots: granted is "),
    ("GRANT UPDATE ON balances_v1 TO neurocards_reader", "table public.balances_v*: granted is "),
    ("GRANT CREATE ON SCHEMA audit TO neurocards_web", "schema audit: granted is "),
    ("ALTER TABLE events SET UNLOGGED", "table public.events: persistence is u"),
    ("CREATE RULE quiet AS ON DELETE TO events DO INSTEAD NOTHING",
     "rule quiet of public.events is not ours"),
    ("CREATE RULE kept AS ON INSERT TO deliveries DO INSTEAD NOTHING",
     "rule kept of public.deliveries is not ours"),
    ("ALTER TABLE events ENABLE ROW LEVEL SECURITY", "table public.events: row security is on"),
    ("ALTER TABLE checkpoints FORCE ROW LEVEL SECURITY", "table public.checkpoints: row security is forced"),
    ("CREATE POLICY hidden ON events USING (position <> 7)", "policy hidden of public.events is not ours"),
    ("CREATE TABLE later () INHERITS (events)", "table public.events: children is public.later"),
    ("CREATE SCHEMA aside; CREATE TABLE aside.later () INHERITS (events)",
     "table public.events: children is aside.later"),
    ("CREATE SCHEMA neurocards_web; CREATE TABLE neurocards_web.events ()",
     "schema neurocards_web is not ours"),
    ("CREATE VIEW audit.more AS SELECT 1", "view audit.more is not ours"),
    ("DROP TRIGGER events_append_only ON events", "trigger events_append_only of public.events is missing"),
    ("DROP TRIGGER events_append_only ON events; CREATE TRIGGER events_append_only BEFORE TRUNCATE ON events "
     "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()",
     "trigger events_append_only of public.events: definition is CREATE TRIGGER events_append_only "
     "BEFORE TRU"),
    ("ALTER TABLE checkpoints DISABLE TRIGGER ALL", "trigger checkpoints_append_only of %: enabled is D"),
    ("ALTER TABLE model_changes DISABLE TRIGGER USER",
     "trigger model_changes_append_only of %: enabled is D"),
    ("ALTER TABLE events ENABLE REPLICA TRIGGER events_append_only",
     "trigger events_append_only of %: enabled is R"),
    ("CREATE TRIGGER more BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse_rewriting()",
     "trigger more of public.events is not ours"),
    ("ALTER TABLE texts DISABLE TRIGGER ALL", "constraint texts_account_fkey of public.texts: triggers is D"),
    ("CREATE FUNCTION aside() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; "
     "CREATE EVENT TRIGGER aside ON ddl_command_end EXECUTE FUNCTION aside()", "event trigger aside is "
     "not ours"),
    ("DROP INDEX events_one_charge_per_job", "index public.events_one_charge_per_job is missing"),
    ("DROP INDEX events_one_charge_per_job; CREATE UNIQUE INDEX events_one_charge_per_job ON events "
     "((data ->> 'job'), position) WHERE type = 'CreditsCharged'",
     "index public.events_one_charge_per_job: definition is CREATE UNIQUE INDEX"),
    ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_key'::regclass",
     "index public.events_key: off is true"),
    ("ALTER TABLE events DROP CONSTRAINT events_whole",
     "constraint events_whole of public.events is missing"),
    ("ALTER TABLE events DROP CONSTRAINT events_whole; ALTER TABLE events ADD CONSTRAINT events_whole "
     "CHECK (version > 0) NOT VALID",
     "constraint events_whole of public.events: definition is CHECK ((version > 0)) NOT VALID"),
    ("ALTER TABLE events ALTER COLUMN hash DROP NOT NULL", "column public.events.hash: null is true"),
    ("ALTER TABLE events ALTER COLUMN recorded_at_us SET DEFAULT 0",
     "column public.events.recorded_at_us: default is"),
    ("ALTER TABLE accounts ALTER COLUMN person DROP EXPRESSION",
     "column public.accounts.person: made is nothing"),
    ("ALTER TABLE checkpoints ALTER COLUMN number SET DEFAULT 1",
     "column public.checkpoints.number: default is 1"),
    ("UPDATE ledger.event_rights SET roles = roles || '{neurocards_web}' WHERE kind = 'manual'",
     "right to append CreditsGranted manual: roles is neurocards_operator, neurocards_bot, n"),
    ("DELETE FROM ledger.event_rights WHERE type = 'JobQueued'", "right to append JobQueued is missing"),
    ("INSERT INTO schema_migrations (package, name, sha256) VALUES ('p', '9_new.sql', '')",
     "a newer version has applied migration p/9_new.sql"),
    ("DELETE FROM schema_migrations WHERE name = '0004_dashboard.sql'",
     "migration services.migrations/0004_dashboard.sql is missing"),
    ("CREATE OR REPLACE FUNCTION pg_catalog.int8send(bigint) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT "
     "PARALLEL SAFE RETURN '\\x00'::bytea", "function int8send(bigint) is not ours"),
    ("CREATE FUNCTION as_told(json) RETURNS text LANGUAGE sql RETURN '{}'; "
     "CREATE CAST (json AS text) WITH FUNCTION as_told(json)", "cast json to text is not ours"),
    ("CREATE ROLE neurocards_mallory SUPERUSER", "role neurocards_mallory is not ours, can superuser"),
    ("CREATE ROLE mallory; GRANT postgres TO mallory", "role postgres is not ours%members mallory"),
    ("CREATE ROLE mallory; GRANT neurocards_log TO mallory", "role neurocards_log: members is mallory"),
    ("CREATE ROLE mallory; GRANT neurocards_reader TO mallory", "role neurocards_reader: members is mallory"),
    ("CREATE ROLE mallory; GRANT pg_write_all_data TO mallory",
     "role pg_write_all_data is not ours, members mallory"),
    ("GRANT neurocards_operator TO neurocards_web",
     "role neurocards_web: in is neurocards_app, neurocards_operator, and should be neurocards_app"),
    ("ALTER ROLE neurocards_web SUPERUSER", "role neurocards_web: can is superuser, login"),
    ("ALTER ROLE neurocards_web SET session_replication_role = replica",
     "role neurocards_web: settings is session_replication_role=replica, synchronous_commit=on"),
    ("ALTER ROLE neurocards_web SET synchronous_commit = off",
     "role neurocards_web: settings is synchronous_commit=off"),
    ("CREATE ROLE auditor_olga IN ROLE neurocards_reader; ALTER ROLE auditor_olga SET search_path = aside",
     "role auditor_olga is not ours, settings search_path=aside"),
    ("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = aside', current_database()); END $$",
     "role PUBLIC is not ours, settings search_path=aside"),
    ("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO neurocards_web', current_database()); END $$",
     "role neurocards_operator: in is neurocards_app, neurocards_log, postgres"),
    ("SET LOCAL session_replication_role = replica",
     "setting session_replication_role is not ours, value repl"),
]  # fmt: skip


async def test_what_is_made_otherwise_is_found_and_named(superuser: "Connection") -> None:
    silent = []
    for change, words in CHANGES:
        transaction = superuser.transaction()
        await transaction.start()
        try:
            await superuser.execute(change)
            said = await schema_drift.differences(superuser)
        finally:
            await transaction.rollback()
        begins, _, ends = words.partition("%")
        if not any(one.startswith(begins) and ends in one for one in said):
            silent.append((change, words, said))
    assert silent == []
    assert await schema_drift.differences(superuser) == []


@pytest.mark.parametrize(
    "change",
    [
        "CREATE INDEX more ON events (type); CREATE STATISTICS more ON type, stream FROM events",
        "ALTER TABLE events SET (autovacuum_vacuum_scale_factor = 0.01); ANALYZE events",
        "CREATE SCHEMA reports; CREATE VIEW reports.jobs AS SELECT * FROM public.job_status",
        "CREATE ROLE auditor_olga IN ROLE neurocards_reader; ALTER ROLE auditor_olga SET lock_timeout = '5s'",
        "ALTER ROLE neurocards_web SET lock_timeout = '9s'; CREATE ROLE metrics IN ROLE pg_monitor",
        "CREATE PUBLICATION everything FOR ALL TABLES",
    ],
)
async def test_what_an_operator_may_do_is_no_drift(superuser: "Connection", change: str) -> None:
    transaction = superuser.transaction()
    await transaction.start()
    try:
        await superuser.execute(change)
        assert await schema_drift.differences(superuser) == []
    finally:
        await transaction.rollback()


async def test_a_read_model_may_be_rebuilt_and_swapped(database_url: str, superuser: "Connection") -> None:
    fresh = (await shadow_table.create(superuser, BALANCES)).table
    assert await schema_drift.differences(superuser) == []
    await superuser.execute(f"CREATE OR REPLACE VIEW balances AS SELECT * FROM {fresh.name}")
    (said,) = await schema_drift.differences(superuser)
    assert said.startswith("view public.balances: source is ")
    await superuser.execute("CREATE OR REPLACE VIEW balances AS SELECT * FROM balances_v1")
    await rebuild(database_url, "balances")
    assert await superuser.fetchval("SELECT version FROM cursors WHERE name = 'balances' AND active") > 1
    assert await schema_drift.differences(superuser) == []


@pytest.mark.parametrize(("change", "words"), [CHANGES[12], CHANGES[14], CHANGES[19]])
async def test_verifying_and_the_doctor_say_it(
    pool, superuser: "Connection", settings: Settings, change: str, words: str
) -> None:
    await superuser.execute(change)
    guards = [problem.message for problem in await check_ledger(pool) if problem.kind == "guard"]
    assert len(guards) == 1 and guards[0].startswith(words), guards
    check = {check.name: check for check in await check_database(settings)}["database's definitions"]
    assert check.state == "fail" and words in check.found and "--no-owner" in check.advice


def restored(from_url: str, to_url: str, dump: Path, *options: str) -> dict[str, set[str]]:
    """What `pg_dump` and `pg_restore` make of the door: names of objects by what is amiss with them."""
    programs = find_postgres().folder
    subprocess.run([programs / "pg_dump", "-Fc", "-f", dump, from_url], check=True)
    subprocess.run([programs / "pg_restore", *options, "-d", to_url, dump], check=True)
    found: dict[str, set[str]] = {}
    for said in asyncio.run(_differences(to_url)):
        name, _, amiss = said.partition(": ")
        found.setdefault(amiss.partition(",")[0], set()).add(name)
    return found


async def _differences(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return await schema_drift.differences(connection)
    finally:
        await connection.close()


def test_a_restore_without_owners_is_found(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    found = restored(database_url, empty_database_url, tmp_path / "dump", "--no-owner")
    owned = {
        name for name, facts in schema_drift.expected().items() if facts.get("owner") == "neurocards_log"
    }
    assert len(owned) > 20
    assert found["owner is the database's owner"] == owned


def test_a_restore_with_owners_is_right(database_url: str, empty_database_url: str, tmp_path: Path) -> None:
    assert restored(database_url, empty_database_url, tmp_path / "dump") == {}
