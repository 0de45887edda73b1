"""Maintenance verifies what is new and the whole, by its own memory; what was found stays found."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from events.envelope import Cursor
from ledger.log.ledger import Ledger
from projections.checkpoints import make_checkpoint
from projections.verify.run import Database, Report, verify_on
from services.maintenance import verification as module
from services.maintenance.verification import Verification
from services.maintenance.verification_memory import FILE
from services.platform.settings import Settings, load_settings
from services.recovery.checkpoint_files import folder, keep_note
from tests.integration.ledger.tampering import KEY, UNGUARD, project
from tests.support.hand_made import append_unknown
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
def settings(database_url: str, tmp_path: Path) -> Settings:
    return load_settings(database_url=database_url, data_dir=tmp_path)


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


def due(verification: Verification, *, whole: bool = False) -> None:
    """So much time has passed."""
    memory = verification._memory
    seen = memory.recall()
    later = replace(seen, new_at_s=seen.new_at_s - 600, whole_at_s=seen.whole_at_s - 1200 * whole)
    memory.newest = later
    memory.keep(later)


async def test_two_processes_of_a_machine_verify_once_with_the_rights_of_a_service(
    traffic: Traffic, settings: Settings, pool: "Pool", ledger: Ledger
) -> None:
    """In real processes, as in service."""
    one, other = monitor(settings, pool), monitor(settings, pool)
    assert (await one.run_once(), await other.run_once()) == (1, 0)
    assert metric("position") == (await ledger.read.head()).position
    new, whole = (metric("last_timestamp_seconds", scope=scope) for scope in ("new", "whole"))
    assert new == pytest.approx(whole, abs=0.001) and new > 0  # the microseconds are rounded
    assert metric("problems", kind="edited") == metric("problems", kind="projection") == 0
    assert await one.run_once() == await other.run_once() == 0  # not due


async def test_only_what_is_new_and_what_was_found_stays_until_the_whole_holds(
    traffic: Traffic, settings: Settings, pool: "Pool", owner: "Connection", ledger: Ledger, asked: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    verification = monitor(settings, pool)
    await verification.run_once()
    first = (await ledger.read.head()).position
    await traffic.play(5)
    await project(pool)
    second = (await ledger.read.head()).position
    await owner.execute("UPDATE balances SET balance = balance + 1")
    due(verification)
    with capture_logs() as logs:
        await verification.run_once()
    assert metric("problems", kind="projection") == 1
    assert [log["kind"] for log in logs if log["event"] == "verification_found"] == ["projection"]
    runs = await pool.fetch("SELECT whole, position, found, report FROM verification_runs ORDER BY number")
    assert [tuple(run)[:3] for run in runs] == [(True, first, 0), (False, second, 1)]
    assert '"kind":"projection"' in runs[1]["report"] and "balances" in runs[1]["report"]

    await owner.execute("UPDATE balances SET balance = balance - 1")
    due(verification)
    await verification.run_once()
    assert metric("problems", kind="projection") == 1  # what came since does not tell whether it was mended
    due(verification, whole=True)  # sooner than tomorrow, since it costs little
    await verification.run_once()
    assert metric("problems", kind="projection") == 0
    monkeypatch.setattr(module, "_walks_cpu_s", iter((0.0, 61.0, 61.0, 61.0)).__next__)
    for _ in range(2):  # it costs more: only a twentieth of a core goes to it
        due(verification, whole=True)
        await verification.run_once()
    assert asked == [0, first, second, 0, 0, second]


async def test_an_old_row_that_was_changed_is_seen_by_the_next_whole(
    traffic: Traffic, settings: Settings, pool: "Pool", owner: "Connection", asked: list[int]
) -> None:
    verification = monitor(settings, pool)
    await verification.run_once()
    await owner.execute(UNGUARD + "UPDATE events SET data = '{}' WHERE position = 5")
    due(verification, whole=True)
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
    one = monitor(settings, pool)
    assert [await one.run_once(), await one.run_once()] == [0, 0]
    assert (calls, metric("failures_total")) == (1, before + 1)
    assert metric("last_timestamp_seconds", scope="new") == 0
    one._begin_at = 0.0  # minutes later
    await one.run_once()
    assert calls == 2


async def test_a_process_that_stops_ends_what_is_under_way(
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
        stop.set()
        assert await stopping == 0
        assert ended.is_set()
    assert await monitor(settings, pool).run_once() == 1


EDITED = UNGUARD + "UPDATE events SET data = '{}' WHERE position = 5"


@pytest.mark.parametrize(
    "lie",
    [
        "UPDATE verification_runs SET ended_at = '2036-01-01', problems = '{}'",
        "UPDATE verification_runs SET problems = '[1]'",
        "DELETE FROM verification_runs",
        "DROP TABLE verification_runs",
        "CREATE RULE deaf AS ON INSERT TO verification_runs DO INSTEAD NOTHING",
    ],
)
async def test_whatever_the_table_says_it_is_verified_by_own_memory(
    traffic: Traffic, settings: Settings, pool: "Pool", owner: "Connection", asked: list[int], lie: str
) -> None:
    first = monitor(settings, pool)
    await first.run_once()
    await owner.execute(EDITED)
    await owner.execute(lie)
    assert await monitor(settings, pool).run_once() == 0
    due(first, whole=True)
    assert await first.run_once() == 1
    assert metric("problems", kind="edited") == 1
    assert metric("last_timestamp_seconds", scope="whole") < 2e9  # before 2033


async def test_signed_notes_that_are_gone_are_missed_until_the_whole_log_went_back(
    traffic: Traffic,
    ledger: Ledger,
    settings: Settings,
    pool: "Pool",
    owner: "Connection",
    asked: list[int],
) -> None:
    verification, where = monitor(settings, pool), folder(settings)
    for _ in range(2):
        await traffic.play(5)
        await project(pool)
        made = await make_checkpoint(ledger, KEY, program="0.1.0")
        assert made is not None
        keep_note(where, made.note)
    await verification.run_once()
    file = (where / FILE).read_bytes()
    for gone in ("table", "folder", "both"):
        if gone != "folder":
            await owner.execute(UNGUARD + "DELETE FROM checkpoints WHERE number > 1")
        if gone != "table":
            for note in where.glob("*.note"):
                note.unlink()
        again = monitor(settings, pool)
        due(again)
        assert await again.run_once() == 1
        assert metric("problems", kind="checkpoint") == 1, gone
        (where / FILE).write_bytes(file)
    shutil.rmtree(where)  # the file too; but the process remembers
    seen = verification._memory.newest
    verification._memory.newest = replace(seen, new_at_s=seen.new_at_s - 600)
    await verification.run_once()
    assert metric("problems", kind="checkpoint") == 1

    await owner.execute(
        """DELETE FROM events WHERE position > 20; DELETE FROM snapshots; DELETE FROM open_jobs;
           UPDATE cursors SET position = 0, hash = decode(repeat('00', 32), 'hex')"""
    )
    due(verification, whole=True)
    await verification.run_once()
    assert metric("problems", kind="rewritten") == 1
    assert metric("problems", kind="checkpoint") == 0


async def test_what_a_newer_version_made_is_no_damage_and_the_newer_one_looks_at_once(
    traffic: Traffic, settings: Settings, pool: "Pool", owner: "Connection", asked: list[int]
) -> None:
    older = monitor(settings, pool)
    await older.run_once()
    await owner.execute(
        "INSERT INTO schema_migrations (package, name, sha256) VALUES ('newer', '0099_new.sql', '0')"
    )
    await append_unknown(owner, "account-future")
    due(older)
    with capture_logs() as logs:
        await older.run_once()
    assert metric("problems", kind="guard") == 0 < metric("problems", kind="unreadable")
    (first, *_) = [log for log in logs if log["event"] == "verification_found"]
    assert first["message"].endswith("0099_new.sql")

    assert await older.run_once() == 0  # not due
    upgraded = monitor(settings, pool)
    upgraded._by = "of the newer schema"
    await upgraded.run_once()
    assert asked[-1] == 0, "the whole, though it is not due"
    assert await upgraded.run_once() == 0
