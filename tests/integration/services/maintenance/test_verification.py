"""The monitor verifies on schedule: one of two at a time, what is new, and what was found stays found."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from events.envelope import Cursor
from ledger.log.ledger import Ledger
from projections.verify.run import Database, Report, verify_on
from services.maintenance.verification import Verification
from services.platform.settings import Settings, load_settings
from tests.integration.ledger.tampering import UNGUARD, project
from tests.support.traffic import Traffic

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record]


def metric(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(f"neurocards_verification_{name}", labels)
    assert value is not None, name
    return value


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator["Connection"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def traffic(ledger: Ledger, pool: "Pool") -> Traffic:
    traffic = Traffic(ledger)
    await traffic.play(30)
    await project(pool)
    return traffic


@pytest.fixture
def settings(database_url: str) -> Settings:
    return load_settings(database_url=database_url)


def monitor(settings: Settings, pool: "Pool", stop: asyncio.Event | None = None) -> Verification:
    return Verification(settings, pool, stop or asyncio.Event(), first_s=0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, owner: "Connection") -> list[int]:
    """After which positions it was verified; here in this process, which is quicker."""
    begun: list[int] = []

    async def verify(database: Database, *, after: Cursor, gentle: bool) -> Report:
        begun.append(after.position)
        return await verify_on(owner, after=after)

    monkeypatch.setattr("services.maintenance.verification.verify", verify)
    return begun


async def due(owner: "Connection", *, whole: bool = False) -> None:
    """So much time has passed."""
    await owner.execute("UPDATE verification SET ended_at = ended_at - interval '10 minutes'")
    if whole:
        await owner.execute("UPDATE verification SET whole_at = whole_at - interval '20 minutes'")


async def test_two_monitors_verify_once_with_the_rights_of_a_service(
    traffic: Traffic, settings: Settings, pool: "Pool", ledger: Ledger
) -> None:
    """In real processes, as in service."""
    one, other = monitor(settings, pool), monitor(settings, pool)
    assert sorted(await asyncio.gather(one.run_once(), other.run_once())) == [0, 1]
    assert metric("position") == (await ledger.read.head()).position
    new, whole = (metric("last_timestamp_seconds", scope=scope) for scope in ("new", "whole"))
    assert new == pytest.approx(whole, abs=0.001) and new > 0  # the microseconds are rounded
    assert metric("problems", kind="edited") == metric("problems", kind="projection") == 0
    assert await one.run_once() == await other.run_once() == 0  # not due


async def test_only_what_is_new_and_what_was_found_stays_until_the_whole_holds(
    traffic: Traffic, settings: Settings, pool: "Pool", owner: "Connection", ledger: Ledger, asked: list[int]
) -> None:
    verification = monitor(settings, pool)
    await verification.run_once()
    first = (await ledger.read.head()).position
    await traffic.play(5)
    await project(pool)
    second = (await ledger.read.head()).position
    await owner.execute("UPDATE balances SET balance = balance + 1")
    await due(owner)
    with capture_logs() as logs:
        await verification.run_once()
    assert metric("problems", kind="projection") == 1
    assert [log["kind"] for log in logs if log["event"] == "verification_found"] == ["projection"]

    await owner.execute("UPDATE balances SET balance = balance - 1")
    await due(owner)
    await verification.run_once()
    assert metric("problems", kind="projection") == 1  # what came since does not tell whether it was mended
    await due(owner, whole=True)  # sooner than tomorrow, since something is wrong
    await verification.run_once()
    assert metric("problems", kind="projection") == 0
    await due(owner, whole=True)  # nothing is wrong
    await verification.run_once()
    assert asked == [0, first, second, 0, second]


async def test_an_old_row_that_was_changed_is_seen_by_the_next_whole(
    traffic: Traffic, settings: Settings, pool: "Pool", owner: "Connection", asked: list[int]
) -> None:
    verification = monitor(settings, pool)
    await verification.run_once()
    await owner.execute(UNGUARD + "UPDATE events SET data = '{}' WHERE position = 5")
    await owner.execute("UPDATE verification SET whole_at = whole_at - interval '25 hours'")
    await verification.run_once()
    assert metric("problems", kind="edited") == metric("problems", kind="unreadable") == 1
    assert metric("problems", kind="guard") > 0


async def test_what_cannot_be_verified_is_counted_and_not_tried_again_at_once(
    traffic: Traffic, settings: Settings, pool: "Pool", owner: "Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def verify(*args: Any, **kwargs: Any) -> Report:
        nonlocal calls
        calls += 1
        raise ValueError("the log holds what nobody can read")

    monkeypatch.setattr("services.maintenance.verification.verify", verify)
    before = metric("failures_total")
    one, other = monitor(settings, pool), monitor(settings, pool)
    assert [await one.run_once(), await other.run_once(), await one.run_once()] == [0, 0, 0]
    assert (calls, metric("failures_total")) == (1, before + 1)
    assert metric("last_timestamp_seconds", scope="new") == 0
    await owner.execute("UPDATE verification SET taken_until = clock_timestamp()")  # minutes later
    await other.run_once()
    assert calls == 2


async def test_a_monitor_that_stops_leaves_its_turn_to_the_other(
    traffic: Traffic, settings: Settings, pool: "Pool", asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, begun, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def verify(*args: Any, **kwargs: Any) -> Report:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr("services.maintenance.verification.verify", verify)
        stopping = asyncio.create_task(monitor(settings, pool, stop).run_once())
        await begun.wait()
        assert await monitor(settings, pool).run_once() == 0
        stop.set()
        assert await stopping == 0
        assert ended.is_set()
    assert await monitor(settings, pool).run_once() == 1
