"""The watchdog: who holds the append lock is ended, and appends go on; who hinders the log is named."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.monitor import append_lock
from services.monitor.append_lock import LockWatch
from services.monitor.metrics import HINDERED, LOCK_FREED

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
