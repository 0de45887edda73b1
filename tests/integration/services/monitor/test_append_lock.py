"""The watchdog: who holds the append lock is ended, and appends go on; who hinders the log is named."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from structlog.testing import capture_logs

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.migrations import auditors
from services.monitor import append_lock
from services.monitor.append_lock import LockWatch
from services.monitor.metrics import HINDERED, LOCK_FREED
from tests.support import servers
from tests.support.hand_made import append
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

BEGIN = "SELECT outcome FROM ledger.begin_append('{}', '{}', NULL, NULL, '', '', '')"


def as_login(url: str, login: str) -> str:
    return url.replace("neurocards_operator", f"neurocards_{login}")


@pytest.fixture
async def monitor(database_url: str) -> AsyncIterator["Pool"]:
    async with asyncpg.create_pool(as_login(database_url, "monitor"), min_size=1, max_size=1) as pool:
        yield pool


@pytest.fixture
async def holder(database_url: str) -> AsyncIterator["Connection"]:
    """A taken-over service: it has set off every timeout, and keeps the lock."""
    connection = await asyncpg.connect(as_login(database_url, "web"))
    await connection.execute(
        "SET transaction_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0"
    )
    await connection.execute("BEGIN")
    assert await connection.fetchval(BEGIN) == "ok"
    yield connection
    await connection.close(timeout=5)


async def test_who_keeps_the_lock_is_ended_and_appends_go_on(
    database_url: str, monitor: "Pool", holder: "Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, before = LockWatch(monitor), LOCK_FREED.labels("neurocards_web")._value.get()
    assert await watch.run_once() == 0
    assert await watch.run_once() == 0  # seen twice, but not for long
    monkeypatch.setattr(append_lock, "HELD_S_MAX", 0.0)
    assert await watch.run_once() == 1
    assert LOCK_FREED.labels("neurocards_web")._value.get() == before + 1
    async with Ledger(database_url, monitor) as ledger:
        assert (await ledger.execute(c.OpenAccount("a", "0" * 64), key="open:a")).position == 1
    assert await watch.run_once() == 0


async def test_another_transaction_is_another_holder(
    monitor: "Pool", holder: "Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append_lock, "HELD_S_MAX", 0.0)
    watch = LockWatch(monitor)
    await watch.run_once()
    await holder.execute("ROLLBACK")
    await holder.execute("BEGIN")
    assert await holder.fetchval(BEGIN) == "ok"
    assert await watch.run_once() == 0
    assert not holder.is_closed()


async def test_nobody_but_the_monitor_may_end_a_holder(database_url: str, holder: "Connection") -> None:
    bot = await asyncpg.connect(as_login(database_url, "bot"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bot.fetchval("SELECT ledger.free_append_lock(1, now())")
    await bot.close()


async def test_the_lock_is_counted_and_only_while_it_is_held(monitor: "Pool", holder: "Connection") -> None:
    watch = LockWatch(monitor)
    await watch.run_once()
    assert HINDERED.labels("append_lock")._value.get() == 1
    await holder.execute("ROLLBACK")
    await watch.run_once()
    assert HINDERED.labels("append_lock")._value.get() == 0


SYNCING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


async def test_a_holder_that_waits_for_the_standby_is_spared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ending it would show rows that stand on one machine only."""
    monkeypatch.setattr(append_lock, "HELD_S_MAX", 0.0)
    replicating = {"wal_level": "replica", "max_wal_senders": "2"}
    with servers.own_postgres(tmp_path, **replicating) as server:
        url = await servers.migrated(server)
        owner = await asyncpg.connect(server.url())
        await owner.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await owner.execute("SELECT pg_reload_conf()")
        writer = await asyncpg.connect(as_login(url, "bot"))
        await eventually(lambda: writer.fetchval("SHOW synchronous_standby_names"))
        monitored = asyncpg.create_pool(as_login(url, "monitor"), min_size=1, max_size=1)
        async with monitored as pool:
            waiting = asyncio.create_task(append(writer, [("account-a", "AccountOpened", {})]))
            await eventually(lambda: owner.fetchval(SYNCING))
            watch = LockWatch(pool)
            with capture_logs() as logs:
                assert [await watch.run_once() for _ in range(3)] == [0, 0, 0]
            told = [(line["what"], line["login"]) for line in logs if line["event"] == "log_hindered"]
            assert told == [("append_lock", "neurocards_bot")]
            assert await owner.fetchval("SELECT count(*) FROM events") == 0
            assert not waiting.done()
            await owner.execute("ALTER SYSTEM RESET synchronous_standby_names")
            await owner.execute("SELECT pg_reload_conf()")
            assert (await waiting)["outcome"] == "ok"
        for connection in (writer, owner):
            await connection.close()


LOCK_ALL = """
    DO $$
    DECLARE
        one record;
        mode text;
        got bigint := 0;
    BEGIN
        FOR one IN SELECT oid::regclass AS name FROM pg_class WHERE relkind IN ('r', 'v', 'p') LOOP
            FOREACH mode IN ARRAY ARRAY['ACCESS EXCLUSIVE', 'EXCLUSIVE', 'ROW EXCLUSIVE', 'ACCESS SHARE'] LOOP
                BEGIN
                    EXECUTE format('LOCK TABLE %s IN %s MODE NOWAIT', one.name, mode);
                    got := got + 1;
                EXCEPTION WHEN insufficient_privilege OR wrong_object_type THEN NULL;
                END;
            END LOOP;
        END LOOP;
        PERFORM set_config('test.got', got::text, false);
    END $$
"""
FILL = "SELECT pg_notify('other', repeat('x', 7000) || n) FROM generate_series(1, 10) AS n"
MINUTE = "interval '1 minute'"


async def test_an_auditor_who_takes_all_there_is_hinders_nobody_and_is_named(tmp_path: Path) -> None:
    """Every lock it can get, the longest transaction, and a queue of notifications that nobody takes."""
    with servers.own_postgres(tmp_path, max_notify_queue_pages="64") as server:
        url = await servers.migrated(server)
        login, password = await auditors.add(server.url(), "greedy")
        owner = await asyncpg.connect(server.url())
        locking, listening, sending = [
            await asyncpg.connect(server.url(user=login, password=password)) for _ in range(3)
        ]
        definition = await owner.fetchval("SELECT pg_get_functiondef('ledger.hindrances'::regproc)")
        assert definition.count(MINUTE) == 2, "a lock's and a snapshot's age"
        monitored = asyncpg.create_pool(as_login(url, "monitor"), min_size=1, max_size=1)
        async with monitored as pool, Ledger(as_login(url, "bot"), pool) as ledger:
            await ledger.execute(c.OpenAccount("a", "0" * 64), key="open:a")

            await locking.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
            await locking.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE")
            await locking.execute(LOCK_ALL)
            assert int(await locking.fetchval("SELECT current_setting('test.got')")) > 100
            assert await locking.fetchval("SELECT count(*) FROM events") == 1
            await listening.execute("LISTEN neurocards_events; LISTEN other")
            await listening.execute("BEGIN; SELECT 1")
            with pytest.raises(asyncpg.PostgresError, match="too many notifications"):
                for _ in range(1000):
                    await sending.execute(FILL)

            receipts = [
                await ledger.execute(c.AcceptTerms("a", f"{n}", 0), key=f"terms:{n}") for n in range(20)
            ]
            assert [receipt.position for receipt in receipts] == list(range(2, 22))

            watch = LockWatch(pool)
            with capture_logs() as logs:
                await watch.run_once()
                await owner.execute(definition.replace(MINUTE, "interval '0 minutes'"))
                await watch.run_once()
            told = [line for line in logs if line["event"] == "log_hindered"]
            assert [line["what"] for line in told[:1]] == ["notify_queue"], "younger than a minute"
            assert float(told[0]["share"]) > 0.9
            named = {(line["what"], line["login"], line["pid"]) for line in told[1:]}
            pid = str(locking.get_server_pid())
            assert {("events_lock", login, pid), ("snapshot", login, pid)} <= named, named
            for kind in ("events_lock", "snapshot", "notify_queue"):
                assert HINDERED.labels(kind)._value.get() >= 1
            assert HINDERED.labels("append_lock")._value.get() == 0
            assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []
        for connection in (locking, listening, sending, owner):
            await connection.close(timeout=5)
