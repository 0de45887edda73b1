"""The schema `audit` says in plain SQL what the Python fold says, to a role that can do nothing else."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest

from events.account import CreditsCharged, CreditsRefunded
from events.envelope import Recorded
from events.job import Failure, JobFailed, JobSucceeded, Video
from events.stream_names import account_stream, job_stream
from ledger import commands as c
from projections.engine.errors import NothingOfThatNameError
from projections.reports.balance_as_of import balance_at
from projections.reports.log_position import AsOf, LogPosition, locate
from projections.reports.statement import BEGINNING, statement_of
from services.cli.connections import auditor_pool
from services.platform.settings import Settings
from tests.support.books import Books
from tests.support.fake_clock_ledger import (
    ACCOUNTS,
    DAY_US,
    SECOND_US,
    START_US,
    FakeClockLedger,
    random_ledger,
    store,
)

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
async def auditor(settings: Settings) -> AsyncIterator["Pool"]:
    async with auditor_pool(settings) as pool:
        yield pool


def python_books(events: list[Recorded], at: LogPosition) -> dict[str, int]:
    """The books as folded in Python, with expiries that are due and not booked."""
    books = Books()
    for event in events[: at.position]:
        books.record(event)
    found = Counter(books)
    for account in ACCOUNTS:
        rows = [
            (e.position, e.version, e.type, e.data, e.recorded_at_us)
            for e in events[: at.position]
            if e.stream == account_stream(account)
        ]
        for movement, _ in statement_of(account, rows, BEGINNING, at).movements:
            if movement.position is None:
                found[f"user:{account}"] += movement.amount
                found[f"expired:{movement.kind}"] -= movement.amount
    return {account: balance for account, balance in found.items() if balance}


@pytest.mark.parametrize("seed", range(3))
async def test_balances_books_and_lots_are_those_of_the_fold(
    seed: int, database_url: str, auditor: "Pool"
) -> None:
    desk = random_ledger(seed)
    events = desk.events
    await store(database_url, events)
    for position in range(0, len(events) + 1, 7):
        at = LogPosition(position, events[position - 1].recorded_at_us if position else 0)
        rows = await auditor.fetch(
            "SELECT account, debits - credits, balance FROM audit.books_at($1)", position
        )
        assert sum(row["balance"] for row in rows) == 0
        assert {row[0]: row[1] for row in rows if row[1]} == python_books(events, at)
        for account in ACCOUNTS:
            found = await auditor.fetchval("SELECT audit.balance_at($1, $2)", account, position)
            rows_before = [e for e in events[:position] if e.stream == account_stream(account)]
            expected = 0
            if rows_before:
                expected = (await balance_at(auditor, account, AsOf(position=position))).balance
            assert found == expected
    for account in ACCOUNTS:
        await _lots_agree(auditor, account, desk)


async def _lots_agree(auditor: "Pool", account: str, desk: FakeClockLedger) -> None:
    state = await balance_at(auditor, account, AsOf(position=len(desk.events)))
    rows = await auditor.fetch(
        "SELECT lot, kind, amount_left, expires_at FROM audit.lots WHERE stream = $1 AND amount_left <> 0",
        account_stream(account),
    )
    now = await auditor.fetchval("SELECT audit.to_time($1)", state.moment.time_us)
    alive = {
        row["lot"]: row["amount_left"] for row in rows if not row["expires_at"] or row["expires_at"] > now
    }
    assert alive == {lot.number: lot.amount for lot in state.lots}
    rows = await auditor.fetch(
        "SELECT lot, amount, kind FROM audit.lot_movements WHERE stream = $1 AND amount <> 0",
        account_stream(account),
    )
    own = [
        (e.position, e.version, e.type, e.data, e.recorded_at_us)
        for e in desk.events
        if e.stream == account_stream(account)
    ]
    statement = statement_of(account, own, BEGINNING, LogPosition(len(desk.events), 0))
    expected: Counter[tuple[int | None, int, str]] = Counter(
        (part.lot, part.amount, part.kind) for movement, _ in statement.movements for part in movement.lots
    )
    expected += Counter((None, m.debt, "debt") for m, _ in statement.movements if m.debt)
    assert Counter((row["lot"], row["amount"], row["kind"]) for row in rows) == expected


async def test_a_time_has_a_position(database_url: str, auditor: "Pool") -> None:
    assert (await locate(auditor)).position == 0
    assert await auditor.fetchval("SELECT audit.position_at(now())") == 0
    events = random_ledger(7, steps=40).events
    await store(database_url, events)
    first, last = events[0].recorded_at_us, events[-1].recorded_at_us
    for time_us in [first - 1, *(e.recorded_at_us + d for e in events for d in (-1, 0, 1)), last + 1]:
        expected = sum(1 for e in events if e.recorded_at_us <= time_us)
        assert (await locate(auditor, AsOf(time_us=time_us))).position == expected
    for words, expected in (("infinity", len(events)), ("-infinity", 0)):
        assert await auditor.fetchval(f"SELECT audit.position_at('{words}')") == expected
    with pytest.raises(NothingOfThatNameError):
        await locate(auditor, AsOf(position=len(events) + 1))
    far = await locate(auditor, AsOf(time_us=first * 3))
    assert far.not_come_yet and far.position == len(events)


async def test_a_late_booking_changes_no_balance_at_a_time(database_url: str, auditor: "Pool") -> None:
    desk = FakeClockLedger()
    desk.open("a", 2)
    due_us = desk.now_us + DAY_US
    desk.do(c.GrantCredits("a", 5, "promo", "SPRING", expires_at_us=due_us))
    desk.open("b", 1)
    desk.wait(3 * 24 * 3600)
    desk.open("c", 1)
    unbooked = len(desk.events)
    desk.do(c.ExpireCredits("a"))
    await store(database_url, desk.events)
    at_time = "SELECT audit.balance_at_time('a', audit.to_time($1))"
    assert await auditor.fetchval(at_time, due_us - 1) == 7
    assert await auditor.fetchval(at_time, due_us) == 2
    assert await auditor.fetchval("SELECT audit.balance_at('a', $1)", unbooked) == 2
    for point, expected in ((AsOf(time_us=due_us - 1), 7), (AsOf(time_us=due_us), 2), (AsOf(), 2)):
        assert (await balance_at(auditor, "a", point)).balance == expected
    rows = await auditor.fetch("SELECT account, balance FROM audit.books_at($1)", unbooked)
    books = {row["account"]: row["balance"] for row in rows}
    assert (books["user:a"], books["expired:promo"]) == (2, 5)


async def test_kept_promises_show_nothing_and_broken_ones_are_listed(
    database_url: str, auditor: "Pool", owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    desk = random_ledger(11)
    views = ("double_outcomes", "unrefunded_failures", "overdrafts")
    history = desk.history
    history.record((account_stream("a"), CreditsCharged("over", "o", 500, ())))
    history.record((account_stream("a"), CreditsCharged("both", "o", 1, ())))
    history.record((job_stream("both"), JobSucceeded(1, 1, Video("v", "0" * 64, 1))))
    history.record((account_stream("a"), CreditsRefunded("both", 1, "x", ())))
    history.record((account_stream("a"), CreditsCharged("lost", "o", 1, ())))
    history.record((job_stream("lost"), JobFailed("worker", Failure("x"))))
    honest = next(i for i, e in enumerate(desk.events) if '"over"' in e.data)
    await store(database_url, desk.events[:honest])
    for view in views:
        assert await auditor.fetch(f"SELECT * FROM audit.{view}") == []
    waiting = {row["job"] for row in await auditor.fetch("SELECT job FROM audit.unfinished_jobs")}
    charged = {e.stream for e in desk.events[:honest] if e.type == "JobQueued"}
    ended = {e.stream for e in desk.events[:honest] if e.type in ("JobSucceeded", "JobFailed")}
    assert {job_stream(job) for job in waiting} == charged - ended
    await store(database_url, desk.events[honest:])
    found = {
        view: [tuple(r)[:1] for r in await auditor.fetch(f"SELECT * FROM audit.{view}")] for view in views
    }
    assert found["double_outcomes"] == [("both",)]
    assert found["unrefunded_failures"] == [("lost",)]
    first = min(position for (position,) in found["overdrafts"])
    assert desk.events[first - 1].data.startswith('{"job":"over"')


async def test_the_journal_names_whom_and_what_an_event_is_about(database_url: str, auditor: "Pool") -> None:
    desk = FakeClockLedger()
    desk.open("a", 2)
    desk.do(c.GrantCredits("a", 5, "purchase", "bought", "pay-1"))
    desk.order("a", "o1", "j1")
    desk.submit("j1")
    desk.fail("a", "j1")
    await store(database_url, desk.events)
    rows = await auditor.fetch("SELECT * FROM audit.journal ORDER BY position")
    assert [row["account"] for row in rows] == ["a"] * len(desk.events)
    assert {row["position"] for row in rows if row["job"] == "j1"} == set(range(5, len(desk.events) + 1))
    granted, failed = rows[3], rows[-2]
    assert (granted["reference"], granted["amount"], granted["reason"]) == ("pay-1", 5, "bought")
    assert (failed["type"], failed["reason"]) == ("JobFailed", "transient")
    assert int(rows[0]["recorded_at"].timestamp() * SECOND_US) == START_US + SECOND_US


async def test_the_auditor_may_read_all_of_it_and_write_nothing(auditor: "Pool") -> None:
    views = await auditor.fetch("SELECT viewname FROM pg_views WHERE schemaname = 'audit'")
    assert len(views) >= 10
    for (view,) in views:
        await auditor.fetch(f"SELECT * FROM audit.{view} LIMIT 1")
    for call in ("balance_at('a', 1)", "balance_at_time('a', now())", "position_at(now())"):
        await auditor.fetchval(f"SELECT audit.{call}")
    await auditor.fetch("SELECT * FROM audit.books_at(1)")
    async with auditor.acquire() as connection:
        await connection.execute("SET default_transaction_read_only = off")
        for statement in (
            "INSERT INTO events SELECT * FROM events", "UPDATE events SET type = ''", "TRUNCATE events",
            "DELETE FROM open_jobs", "UPDATE cursors SET position = 1", "CREATE TABLE audit.mine ()",
            "CREATE TABLE public.mine ()", "SELECT * FROM texts",
            "INSERT INTO audit.journal (position) VALUES (1)",
        ):  # fmt: skip
            with pytest.raises(asyncpg.PostgresError) as caught:
                await connection.execute(statement)
            assert isinstance(
                caught.value, asyncpg.InsufficientPrivilegeError | asyncpg.ObjectNotInPrerequisiteStateError
            )
