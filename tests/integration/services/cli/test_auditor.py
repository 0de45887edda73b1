"""`neurocards auditor`: a login that reads what there is to audit; whatever it does, appends go on."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg
import pytest

from services.migrations import auditors, migrate
from tests.integration.services.cli.conftest import Run
from tests.support.hand_made import append

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

READABLE = (
    "events",
    "open_jobs",
    "checkpoints",
    "balances",
    "lots",
    "deliveries",
    "audit.journal",
    "audit.payments",
)


@pytest.fixture
def owner_url(empty_database_url: str) -> str:
    """Of a database that was migrated itself: copies of one do not have its rights."""
    asyncio.run(migrate(empty_database_url))
    return empty_database_url


@pytest.fixture
def name(owner_url: str) -> Iterator[str]:
    """Of nobody yet; logins are the whole cluster's."""
    made = f"t{uuid.uuid4().hex[:12]}"
    yield made
    with suppress(auditors.AuditorNotFoundError):
        asyncio.run(auditors.remove(owner_url, made))


@pytest.fixture
async def auditor(name: str, owner_url: str) -> AsyncIterator["Connection"]:
    login, _ = await auditors.add(owner_url, name)
    connection = await asyncpg.connect(owner_url.replace("postgres@", f"{login}@"))
    yield connection
    await connection.close()


@pytest.fixture
async def bot(owner_url: str) -> AsyncIterator["Connection"]:
    connection = await asyncpg.connect(owner_url.replace("postgres@", "neurocards_bot@"))
    yield connection
    await connection.close()


async def appended(bot: "Connection") -> bool:
    answer = await append(bot, [(f"account-{uuid.uuid4().hex}", "AccountOpened", {})])
    return bool(answer["outcome"] == "ok")


def test_a_login_is_made_listed_and_removed(run: Run, owner_url: str, name: str) -> None:
    done = run("auditor", "add", name, "-o", "json", DATABASE_URL=owner_url)
    ((login, password),) = [tuple(row.values()) for row in done.rows]
    assert (done.code, login) == (0, f"auditor_{name}") and len(password) > 30
    again = run("auditor", "add", name, DATABASE_URL=owner_url)
    assert again.code == 1 and "is there already" in again.err

    url = owner_url.replace("postgres@", f"{login}:{password}@")
    verified = run("ledger", "verify", DATABASE_URL=url)
    assert verified.code == 0, verified

    async def connected_and_removed() -> None:
        connection = await asyncpg.connect(url)
        assert await auditors.connections(owner_url, name) == 1
        shown = await asyncio.to_thread(run, "ledger", "access", "-o", "json", DATABASE_URL=owner_url)
        (row,) = [row for row in shown.rows if row["login"] == login]
        assert (row["connections"], row["roles"]) == (1, ["neurocards_reader"]) and row["since"]
        removed = await asyncio.to_thread(run, "auditor", "remove", name, "--yes", DATABASE_URL=owner_url)
        assert removed.code == 0 and "1 sessions" in removed.err
        gone = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
        with pytest.raises(gone):
            await connection.execute("SELECT 1")
        with pytest.raises(asyncpg.PostgresError, match="does not exist"):
            await asyncpg.connect(url)

    asyncio.run(connected_and_removed())
    assert login not in run("ledger", "access", "-o", "json", DATABASE_URL=owner_url).out
    gone = run("auditor", "remove", name, "--dry-run", DATABASE_URL=owner_url)
    assert gone.code == 4 and f"no auditor {name}" in gone.err


async def test_it_reads_what_is_to_be_audited_and_has_bounds(auditor: "Connection") -> None:
    for table in READABLE:
        await auditor.fetch(f"SELECT * FROM {table} LIMIT 1")
    settings = {setting: await auditor.fetchval(f"SHOW {setting}") for setting in auditors._SETTINGS}
    assert settings == auditors._SETTINGS


async def test_it_connects_so_often_and_no_more(auditor: "Connection", owner_url: str) -> None:
    url = owner_url.replace("postgres@", f"{await auditor.fetchval('SELECT session_user')}@")
    more = [await asyncpg.connect(url) for _ in range(auditors.CONNECTIONS_MAX - 1)]
    with pytest.raises(asyncpg.TooManyConnectionsError):
        await asyncpg.connect(url)
    for connection in more:
        await connection.close()


async def test_it_writes_nothing_and_locks_nothing_but_what_it_reads(auditor: "Connection") -> None:
    await auditor.execute("SET default_transaction_read_only = off")
    for statement in (
        "INSERT INTO events SELECT * FROM events", "UPDATE cursors SET position = 1", "DELETE FROM open_jobs",
        "CREATE TEMP TABLE t ()", "CREATE TABLE public.t ()", "CREATE SCHEMA s", "SELECT * FROM accounts",
        "SELECT * FROM texts", "SELECT lo_from_bytea(0, 'x')", "SELECT ledger.clock()",
        "SET ROLE neurocards_bot",
        "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
        "DO $$ BEGIN LOCK TABLE events IN ROW SHARE MODE; END $$",
        "DO $$ BEGIN LOCK TABLE ledger.append_lock IN ACCESS SHARE MODE; END $$",
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await auditor.execute(statement)


async def test_whatever_it_holds_appends_go_on(auditor: "Connection", bot: "Connection") -> None:
    assert await appended(bot)
    async with auditor.transaction(isolation="repeatable_read"):  # an old snapshot, and locks on all it reads
        await auditor.execute("LOCK TABLE events, open_jobs, checkpoints, snapshots IN ACCESS SHARE MODE")
        assert await auditor.fetchval("SELECT count(*) FROM events") == 1
        assert await appended(bot)
        assert await auditor.fetchval("SELECT count(*) FROM events") == 1
    await auditor.execute("LISTEN neurocards_events")
    async with auditor.transaction(isolation="serializable", readonly=True, deferrable=True):
        await auditor.execute("SELECT pg_notify('neurocards_events', repeat('x', 7000))")
        await auditor.fetch("SELECT * FROM audit.journal")
        assert await appended(bot)
    assert await auditor.fetchval("SELECT count(*) FROM events") == 3
