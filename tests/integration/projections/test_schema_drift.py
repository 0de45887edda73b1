"""The door to the log against what the migrations make: what its owner changed is found and named."""

import asyncio
import subprocess
from pathlib import Path

import asyncpg
import pytest

from projections.verify import schema_drift
from projections.verify.run import check_ledger
from services.cli.doctor.machine import check_database
from services.local.binaries import find_postgres
from services.platform.settings import Settings
from tests.support.expected_schema import FILE, definitions

LOCK_FREE = """CREATE OR REPLACE FUNCTION ledger.enter(
    p_cursors bigint[], p_cursor_hashes bytea[], p_wall_us bigint, p_witness_us bigint, OUT outcome text,
    OUT "position" bigint, OUT hash bytea, OUT head_us bigint, OUT now_us bigint, OUT clock_us bigint,
    OUT believed_us bigint) LANGUAGE plpgsql VOLATILE AS $$ BEGIN outcome := 'ok'; END $$"""


async def test_the_file_is_what_the_migrations_make(database_url: str) -> None:
    assert FILE.read_text("utf-8") == await definitions(database_url), (
        "the door has changed: python -m tests.support.expected_schema"
    )


async def test_the_caller_s_search_path_makes_no_difference_and_stays(pool) -> None:
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute("SET LOCAL search_path = audit, ledger, public, pg_catalog")
        assert await schema_drift.differences(connection) == []
        assert await connection.fetchval("SHOW search_path") == "audit, ledger, public, pg_catalog"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER FUNCTION ledger.append OWNER TO postgres", "function ledger.append(%: owner is postgres"),
        ("ALTER TABLE events OWNER TO postgres", "table public.events: owner is postgres"),
        ("ALTER SCHEMA ledger OWNER TO postgres", "schema ledger: owner is postgres"),
        (LOCK_FREE, "function ledger.enter(%: source is "),
        ("ALTER FUNCTION ledger.append SECURITY INVOKER", "function ledger.append(%: definer is false"),
        ("ALTER FUNCTION ledger.append RESET search_path", "function ledger.append(%: settings is enable_"),
        ("ALTER FUNCTION ledger.enter STABLE", "function ledger.enter(%: volatility is s"),
        ("GRANT EXECUTE ON FUNCTION ledger.enter TO PUBLIC", "function ledger.enter(%: granted is PUBLIC "),
        ("CREATE FUNCTION ledger.back() RETURNS int RETURN 1", "function ledger.back() is not ours"),
        ("DROP FUNCTION ledger.hindrances CASCADE", "function ledger.hindrances() is missing"),
        ("CREATE OR REPLACE FUNCTION ledger.clock() RETURNS bigint LANGUAGE sql VOLATILE RETURN 1",
         "function ledger.clock(): source is "),
        ("CREATE OR REPLACE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS "
         "$$ BEGIN RETURN NULL; END $$", "function public.refuse_rewriting(): source is "),
        ("GRANT INSERT ON events TO neurocards_bot", "table public.events: granted is neurocards_bot INSERT"),
        ("GRANT UPDATE (data) ON events TO neurocards_bot", "table public.events: columns granted is data"),
        ("GRANT ALL ON ledger.append_lock TO PUBLIC", "table ledger.append_lock: granted is "),
        ("GRANT UPDATE ON snapshots TO neurocards_web", "table public.snapshots: granted is "),
        ("ALTER TABLE events SET UNLOGGED", "table public.events: persistence is u"),
        ("CREATE RULE quiet AS ON DELETE TO events DO INSTEAD NOTHING",
         "table public.events: rules is true"),
        ("ALTER TABLE events ENABLE ROW LEVEL SECURITY", "table public.events: row security is true"),
        ("DROP TRIGGER events_append_only ON events",
         "trigger events_append_only of public.events is missing"),
        ("ALTER TABLE checkpoints DISABLE TRIGGER ALL",
         "trigger checkpoints_append_only of %: enabled is D"),
        ("CREATE TRIGGER more BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse_rewriting()",
         "trigger more of public.events is not ours"),
        ("UPDATE ledger.event_rights SET roles = roles || '{neurocards_web}' WHERE kind = 'manual'",
         "right to append CreditsGranted manual: roles is neurocards_operator, neurocards_bot, n"),
        ("DELETE FROM ledger.event_rights WHERE type = 'JobQueued'", "right to append JobQueued is missing"),
    ],
)  # fmt: skip
async def test_what_was_changed_is_found(pool, owner, settings: Settings, change: str, words: str) -> None:
    await owner.execute(change)
    guards = [problem.message for problem in await check_ledger(pool) if problem.kind == "guard"]
    begins, _, ends = words.partition("%")
    assert any(text.startswith(begins) and ends in text for text in guards), guards
    check = {check.name: check for check in await check_database(settings)}["door to the log"]
    assert check.state == "fail" and begins in check.found and "--no-owner" in check.advice


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
    owned = {name for name, facts in schema_drift.expected().items() if "owner" in facts}
    assert len(owned) > 20
    assert found["owner is postgres"] == owned


def test_a_restore_with_owners_is_right(database_url: str, empty_database_url: str, tmp_path: Path) -> None:
    assert restored(database_url, empty_database_url, tmp_path / "dump") == {}
