"""What can meet at a model's circuit, forced: everybody waits for the row, and is let go in a known order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from ledger.log.ledger import Ledger
from services.generation.circuit_breaker.rules import Circuit, Rhythm
from services.generation.circuit_breaker.store import CircuitBook, Circuits
from services.platform.blobs import FolderBlobs
from tests.support.order_fixture import OrderFixture
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Owner = asyncpg.Connection[asyncpg.Record]

SOON = Rhythm(failures_max=2, rest_s=0.05, rest_s_max=0.05)
WAITING = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'"""


class Gate:
    """Holds the row of model `m`; those who come wait behind it in the order they came."""

    def __init__(self, owner: "Owner") -> None:
        self._owner = owner
        self.waiting: list[asyncio.Task[Any]] = []

    async def comes(self, work: Awaitable[Any]) -> None:
        """`work` goes as far as the row."""
        self.waiting.append(asyncio.ensure_future(work))

        async def stands() -> bool:
            await self._owner.execute(
                "SELECT pg_stat_clear_snapshot()"
            )  # else a transaction sees one picture
            return bool(await self._owner.fetchval(WAITING) == len(self.waiting))

        await eventually(stands, what=f"{len(self.waiting)} wait for the row")


@pytest.fixture
def gate(pool: "Pool", owner: "Owner") -> Callable[[], Any]:
    @asynccontextmanager
    async def hold() -> AsyncIterator[Gate]:
        await owner.execute("INSERT INTO model_circuits (model) VALUES ('m') ON CONFLICT DO NOTHING")
        gate = Gate(owner)
        async with owner.transaction():
            await owner.execute("SELECT FROM model_circuits WHERE model = 'm' FOR UPDATE")
            yield gate
        await asyncio.gather(*gate.waiting)

    return hold


@pytest.fixture
async def jobs(ledger: Ledger, pool: "Pool", tmp_path: Path) -> tuple[str, ...]:
    """Three jobs whose first submission is announced."""
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    jobs = (await studio.order(await studio.seller(), 3)).jobs
    for job in jobs:
        await studio.start(job)
        await studio.submit(job)
    return jobs


async def present(pool: "Pool") -> Circuit:
    _, known = await CircuitBook(pool).read()
    return known["m"]


async def states(pool: "Pool") -> list[tuple[str, str]]:
    """The history, the oldest first."""
    return [(change.state, change.set_by) for change in reversed(await CircuitBook(pool).changes("m"))]


async def test_two_workers_see_it_paused_at_once(gate: Any, pool: "Pool", jobs: tuple[str, ...]) -> None:
    book = CircuitBook(pool)
    async with gate() as row:
        for job in jobs:
            await row.comes(book.report("m", "paused", job, 1, f"paused, said to {job}"))
    circuit = await present(pool)
    assert (circuit.state, circuit.openings, circuit.failures) == ("paused", 1, 1)
    assert circuit.reason == f"paused, said to {jobs[0]}"
    assert await states(pool) == [("paused", "provider")]


async def test_an_operator_resumes_after_the_pause_was_recorded(
    gate: Any, pool: "Pool", jobs: tuple[str, ...]
) -> None:
    book = CircuitBook(pool)
    async with gate() as row:
        await row.comes(book.report("m", "paused", jobs[0], 1))
        await row.comes(book.resume("m", "ann", "it works again"))
    assert (await present(pool)).available
    assert await states(pool) == [("paused", "provider"), ("available", "operator")]


async def test_an_operator_resumes_just_before_an_old_pause_is_recorded(
    gate: Any, pool: "Pool", jobs: tuple[str, ...]
) -> None:
    book = CircuitBook(pool)
    await book.report("m", "paused", jobs[0], 1)
    async with gate() as row:
        await row.comes(book.resume("m", "ann", "it works again"))
        await row.comes(book.report("m", "paused", jobs[1], 1))
    assert (await present(pool)).available, "announced before the resume: no news"
    assert await states(pool) == [("paused", "provider"), ("available", "operator")]


async def test_what_is_submitted_after_a_resume_counts(
    ledger: Ledger, pool: "Pool", jobs: tuple[str, ...], tmp_path: Path
) -> None:
    book, studio = CircuitBook(pool), OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    await book.report("m", "paused", jobs[0], 1)
    await book.resume("m", "ann", "it works again")
    (job,) = (await studio.order(await studio.seller())).jobs
    await studio.start(job)
    await studio.submit(job)
    assert (await book.report("m", "paused", job, 1)).state == "paused"


async def test_an_operator_pauses_while_a_probe_is_in_flight(
    gate: Any, pool: "Pool", jobs: tuple[str, ...]
) -> None:
    book = CircuitBook(pool, SOON)
    await book.report("m", "paused", jobs[0], 1)
    assert await eventually(lambda: book.claim_probe("m", jobs[1]), what="the rest is over")
    async with gate() as row:
        await row.comes(book.pause("m", "ann", "it makes ugly videos"))
        await row.comes(book.report("m", "accepted", jobs[1], 1))
        await row.comes(book.report("m", "made", jobs[1], 1))
    circuit = await present(pool)
    assert (circuit.state, circuit.set_by, circuit.actor, circuit.until_us) == (
        "paused",
        "operator",
        "ann",
        None,
    )
    assert await book.claim_probe("m", jobs[2]) is None
    assert await states(pool) == [("paused", "provider"), ("paused", "operator")]


async def test_of_many_that_ask_one_is_the_probe(gate: Any, pool: "Pool", jobs: tuple[str, ...]) -> None:
    book = CircuitBook(pool, Rhythm(rest_s=0.05))
    await book.report("m", "paused", jobs[0], 1)

    async def rested() -> bool:
        now_us, known = await book.read()
        return known["m"].half_open(now_us)

    await eventually(rested, what="the rest is over")
    patient = CircuitBook(pool, Rhythm(rest_s=60))
    async with gate() as row:
        for job in jobs:
            await row.comes(patient.claim_probe("m", job))
    won = [task.result() is not None for task in row.waiting]
    assert won == [True, False, False]
    assert await patient.claim_probe("m", jobs[0]), "its next run, should its worker have died, has it still"
    assert await patient.claim_probe("m", jobs[1]) is None


async def test_when_the_probe_is_never_heard_of_again_another_one_goes(
    pool: "Pool", jobs: tuple[str, ...]
) -> None:
    book = CircuitBook(pool, SOON)
    await book.report("m", "paused", jobs[0], 1)
    await eventually(lambda: book.claim_probe("m", jobs[1]), what="the rest is over")
    await eventually(lambda: book.claim_probe("m", jobs[2]), what="the first probe's time is over")
    assert (await book.report("m", "trouble", jobs[1], 1)).openings == 1, "no probe any more"
    assert (await book.report("m", "trouble", jobs[2], 1)).openings == 2


async def test_troubles_of_several_workers_are_counted_together(
    gate: Any, pool: "Pool", jobs: tuple[str, ...]
) -> None:
    books = [CircuitBook(pool, Rhythm(failures_max=3)) for _ in jobs]
    async with gate() as row:
        for book, job in zip(books, jobs, strict=True):
            await row.comes(book.report("m", "trouble", job, 1, "transient 500", f"of {job}"))
    assert (await present(pool)).state == "failing"
    assert await states(pool) == [("failing", "provider")]


async def test_troubles_of_one_seller_count_once(pool: "Pool", jobs: tuple[str, ...]) -> None:
    book = CircuitBook(pool, Rhythm(failures_max=2))
    for job in jobs:
        assert (await book.report("m", "trouble", job, 1, "transient 500", "odd")).available
    assert (await present(pool)).failed == ("odd",)
    assert (await book.report("m", "trouble", jobs[0], 1, "transient 500", "other")).state == "failing"


async def test_of_two_that_asked_the_provider_the_second_changes_nothing(
    gate: Any, pool: "Pool", jobs: tuple[str, ...]
) -> None:
    book = CircuitBook(pool, SOON)
    await book.report("m", "paused", jobs[0], 1)
    await eventually(lambda: book.claim_probe("m", "asked"), what="the rest is over")
    patient = CircuitBook(pool, Rhythm(rest_s=60))
    async with gate() as row:
        await row.comes(patient.answer("m", False))
        await row.comes(patient.answer("m", True))
    assert (await present(pool)).state == "paused"


async def test_a_success_another_process_did_not_need_to_write_ends_the_row(
    pool: "Pool", jobs: tuple[str, ...]
) -> None:
    """It saw no count when the video came; with its next look it does."""
    book = CircuitBook(pool)
    view = Circuits(book)
    await view.refresh()
    await book.report("m", "trouble", jobs[0], 1)
    await view.made("m", jobs[1], 1)
    assert (await present(pool)).failures == 1
    await view.refresh()
    assert (await present(pool)).failures == 0 == view.of("m").failures


async def test_what_a_process_has_written_is_not_unlearned_by_an_older_reading(
    pool: "Pool", jobs: tuple[str, ...]
) -> None:
    book = CircuitBook(pool)
    view, read = Circuits(book), book.read

    async def slow_read() -> Any:
        found = await read()
        if view.of("m").available:
            await view.trouble("m", jobs[0], 1, "", account="a", paused=True)
        return found

    book.read = slow_read  # type: ignore[method-assign]
    await view.refresh()
    assert view.of("m").state == "paused"


async def test_the_history_cannot_be_changed(owner: "Owner", pool: "Pool") -> None:
    await CircuitBook(pool).pause("m", "ann", "why not")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("DELETE FROM model_changes")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await owner.execute("UPDATE model_changes SET actor = 'bob'")
