"""Databases that can only be read: nothing that they say is final, and nobody stays with them."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest
from structlog.testing import capture_logs

from ledger import commands as c
from ledger.errors import InsufficientCreditsError, LedgerError, LedgerUnavailableError
from ledger.log import append_connection as connection
from ledger.log.appender import Appender
from ledger.log.batch import Receipt
from ledger.log.clock import LogClock
from ledger.log.ledger import Ledger
from services.cli.connections import auditor_pool
from services.local.binaries import find_client, find_postgres
from services.local.postgres import EmbeddedPostgres
from services.platform.settings import load_settings
from tests.integration.ledger.conftest import order, positions, rich
from tests.support import servers
from tests.support.hand_made import BEGIN, append
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

BACKENDS = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
              WHERE application_name = 'neurocards-appender' AND datname = current_database()"""

DURABLE = """
    CREATE TABLE durable (how text);
    GRANT INSERT ON durable TO PUBLIC;
    CREATE FUNCTION note_durable() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO durable VALUES (current_setting('synchronous_commit')); RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER durable AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION note_durable()"""
"""Writes down, as late as can be before the commit, whether that waits for the disk."""
STREAMED = {"wal_level": "replica", "max_wal_senders": "4"}


@pytest.fixture
async def appender(database_url: str) -> AsyncIterator[Appender]:
    """One that gives up soon."""
    appender = Appender(database_url, LogClock(), give_up_s=0.3)
    await appender.start()
    yield appender
    await appender.close()


async def turn(owner: "Connection", read_only: str) -> None:
    """For every session that begins from now on, and nobody keeps an old one."""
    database = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = {read_only}")
    await owner.execute(BACKENDS)


async def patiently(ledger: Ledger, command: c.Command, key: str) -> Receipt:
    """As callers do that can wait: the ledger itself gives up after half a minute."""
    while True:
        with contextlib.suppress(LedgerUnavailableError):
            return await ledger.execute(command, key=key)


async def test_nothing_is_refused_by_a_database_that_can_only_be_read(ledger, appender, owner):
    await rich(ledger, "a", 1)
    await turn(owner, "on")
    both = [(order("a", "o1"), "o1"), (order("a", "dear", price=5), "dear")]
    answers = await asyncio.gather(*[appender.submit(*one) for one in both], return_exceptions=True)
    assert [type(answer) for answer in answers] == [LedgerUnavailableError] * 2
    assert "read-write" in str(answers[0])
    await turn(owner, "off")
    answers = await asyncio.gather(*[appender.submit(*one) for one in both], return_exceptions=True)
    assert [type(answer) for answer in answers] == [Receipt, InsufficientCreditsError]
    assert await positions(ledger) == list(range(1, 6))


async def test_nobody_begins_with_one(database_url, owner):
    await turn(owner, "on")
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await Appender(database_url, LogClock()).start()


async def test_a_session_that_turns_read_only_is_left_and_its_rejections_are_worth_nothing(
    own_postgres: EmbeddedPostgres,
):
    """As a managed server does when its disk is full: sessions that are open turn too."""
    url = await servers.migrated(own_postgres)
    owner = await asyncpg.connect(own_postgres.url())
    pool = asyncpg.create_pool(url, min_size=0, server_settings={"role": "neurocards_app"})
    appender = Appender(url, LogClock(), give_up_s=0.3)
    async with pool, Ledger(url, pool) as ledger:
        await rich(ledger, "a", 1)
        await appender.start()
        await appender.submit(c.OpenAccount("a", "0" * 64), "warm")
        await owner.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await owner.execute("SELECT pg_reload_conf()")

        async def refused() -> bool:
            """Whether it is rejected, which is right as long as the session has not heard of it."""
            with pytest.raises((InsufficientCreditsError, LedgerUnavailableError)) as raised:
                await appender.submit(order("a", "dear", price=5), "dear")
            return raised.type is InsufficientCreditsError

        async def over() -> bool:
            return not await refused()

        await eventually(over, 60)
        assert not await refused(), "rejected by a database that can only be read"
        with pytest.raises(LedgerUnavailableError):
            await appender.submit(order("a", "o1"), "o1")
        await owner.execute("SET default_transaction_read_only = off")
        await owner.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await owner.execute("SELECT pg_reload_conf()")
        await eventually(refused, 60)
        assert (await appender.submit(order("a", "o1"), "o1")).position == 4
        assert await positions(ledger) == [1, 2, 3, 4, 5]
    await appender.close()
    await owner.close()


@pytest.mark.parametrize("default", ["off", "local", "remote_apply"])
async def test_commits_are_durable_whatever_the_database_s_default(database_url, owner, default):
    database = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER DATABASE {database} SET synchronous_commit = {default}")
    await owner.execute(DURABLE)
    appender = Appender(database_url, LogClock(), give_up_s=0.1)
    await appender.start()
    assert (await appender.submit(c.OpenAccount("a", "0" * 64), "k")).position == 1
    await appender.close()
    assert await owner.fetch("SELECT how FROM durable") == [("on",)]


async def test_a_way_that_loses_the_setting_is_refused_at_the_start(database_url, owner, monkeypatch):
    """E.g. a pooler that passes on what it knows only."""
    database = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
    monkeypatch.delitem(connection._SERVER_SETTINGS, "synchronous_commit")
    with pytest.raises(LedgerError, match="synchronous_commit"):
        await Appender(database_url, LogClock()).start()


class Standby(EmbeddedPostgres):
    """One that follows another, until it is promoted."""

    def _is_ready(self) -> bool:
        pid_file = self.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines() if pid_file.exists() else []
        return len(lines) >= 8 and lines[7].strip() in ("standby", "ready")


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with servers.short_folder() as folder:
        servers.fresh_cluster(folder / "data")
        log = tmp_path / "primary.log"
        server = EmbeddedPostgres(folder / "data", folder, log, durable=False, options=STREAMED)
        server.start()
        yield server
        server.stop()


@pytest.fixture
async def standby(primary: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    await servers.migrated(primary)
    with servers.short_folder() as folder:
        program = find_client("pg_basebackup", find_postgres().major)
        target = str(folder / "data")
        copy = [str(program), "-d", primary.url(), "-D", target, "-R", "-X", "stream", "-c", "fast", "-N"]
        await asyncio.to_thread(subprocess.run, copy, check=True, timeout=60)
        owner = primary.data.stat()
        for path in (folder / "data", *(folder / "data").rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)
        log = tmp_path / "standby.log"
        server = Standby(folder / "data", folder, log, durable=False, options=STREAMED)
        server.start()
        yield server
        server.stop()


def either(*of: EmbeddedPostgres) -> str:
    """A URL with several hosts, in this order."""
    folders = [parse_qs(urlsplit(server.url()).query)["host"][0] for server in of]
    return f"postgresql://{servers.OPERATOR}@/postgres?host=" + ",".join(
        quote(folder, safe="/") for folder in folders
    )


async def test_a_standby_that_is_asked_by_hand_refuses(standby: EmbeddedPostgres):
    connection = await asyncpg.connect(standby.url(user=servers.OPERATOR))
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError, match="this connection can only read"):
        await append(connection, [("account-a", "AccountOpened", {})])
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError, match="this connection can only read"):
        await connection.fetchrow(BEGIN, [], [], None, None, "", "", "")
    await connection.close()


async def test_an_auditor_of_a_replica_is_told_how_old_it_is(standby: EmbeddedPostgres):
    settings = load_settings(audit_database_url=standby.url(user=servers.OPERATOR))
    with capture_logs() as logs:
        async with auditor_pool(settings) as pool:
            assert await pool.fetchval("SELECT pg_is_in_recovery()")
    assert "read_from_a_replica" in [line["event"] for line in logs]


async def test_a_replica_that_is_behind_decides_nothing_until_it_is_promoted(
    primary: EmbeddedPostgres, standby: EmbeddedPostgres
):
    behind = await asyncpg.connect(standby.url())
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await Appender(standby.url(), LogClock()).start()
    url = either(standby, primary)
    pool = asyncpg.create_pool(url, min_size=0, server_settings={"role": "neurocards_app"})
    appender = Appender(url, LogClock(), give_up_s=0.3)
    async with pool, Ledger(url, pool) as ledger:
        await rich(ledger, "a", 1)
        await eventually(lambda: behind.fetchval("SELECT count(*) = 3 FROM events"), 60)
        await behind.execute("SELECT pg_wal_replay_pause()")
        await eventually(lambda: behind.fetchval("SELECT pg_get_wal_replay_pause_state() = 'paused'"), 60)
        granted = await ledger.execute(c.GrantCredits("a", 5, "manual", "x"), key="grant")
        await appender.start()
        await eventually(lambda: received(primary, behind), 60)
        await asyncio.to_thread(primary.stop)

        waiting = asyncio.ensure_future(patiently(ledger, order("a", "dear", price=5), "dear"))
        with pytest.raises(LedgerUnavailableError):
            await appender.submit(order("a", "dear", price=5), "dear")
        assert not waiting.done()

        await behind.execute("SELECT pg_wal_replay_resume()")
        assert await behind.fetchval("SELECT pg_promote()")
        receipt = await waiting
        assert receipt.position == granted.position + 1
        assert await appender.submit(order("a", "dear", price=5), "dear") == receipt
        await appender.close()
    await behind.close()


async def received(primary: EmbeddedPostgres, behind: "Connection") -> bool:
    """Whether the standby has, though not applied, all that the primary has written."""
    connection = await asyncpg.connect(primary.url())
    try:
        written = await connection.fetchval("SELECT pg_current_wal_lsn()::text")
    finally:
        await connection.close()
    return bool(await behind.fetchval("SELECT pg_last_wal_receive_lsn() >= $1::text::pg_lsn", written))
