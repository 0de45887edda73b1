"""What nobody thought of happens around the commit: the answers are what stands in the log, not the error."""

import asyncio
import inspect
from collections.abc import Callable
from itertools import count
from typing import Any

import asyncpg
import pytest

from ledger import commands as c
from ledger import decider as decide
from ledger.errors import (
    AccountNotOpenError,
    AlreadyExistsError,
    InsufficientCreditsError,
    LedgerError,
    LedgerUnavailableError,
)
from ledger.log import batch_writer
from ledger.log.append_connection import AppendConnection
from ledger.log.appender import Appender
from ledger.log.batch import Receipt
from ledger.log.batch_writer import BatchWriter
from ledger.log.cache import StreamCache
from ledger.log.clock import LogClock
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import order, positions, rich

PLACES = {
    "sent": (AppendConnection, "append"),
    "begun": (AppendConnection, "begin"),
    "committed": (AppendConnection, "commit"),
    "taken in": (StreamCache, "seen"),
    "answered": (batch_writer, "publish"),
    "all done": (BatchWriter, "_answered"),
    "loaded": (batch_writer, "load"),
    "decided": (batch_writer, "decide_batch"),
}
"""Where it happens."""
UNDER_THE_LOCK = ("begun", "committed")
"""Only where the lock is taken first, which is what one does that was too late."""


class Unthoughtof(Exception):
    """No kind of error that anybody has in mind."""


def broken(real: Callable[..., Any], fails: Callable[[], bool], error: Callable[[], Exception]) -> Any:
    """Does what it should, and then, now and then, raises."""
    if inspect.iscoroutinefunction(real):

        async def awaited(*args: Any, **named: Any) -> Any:
            result = await real(*args, **named)
            if fails():
                raise error()
            return result

        return awaited

    def called(*args: Any, **named: Any) -> Any:
        result = real(*args, **named)
        if fails():
            raise error()
        return result

    return called


def break_at(monkeypatch, place: str, fails: Callable[[], bool], error=Unthoughtof) -> None:
    owner, name = PLACES[place]
    monkeypatch.setattr(owner, name, broken(getattr(owner, name), fails, error))
    if place in UNDER_THE_LOCK:
        monkeypatch.setattr(Appender, "_launch", lambda self, batch: self._writer.settle(batch, careful=True))
        monkeypatch.setattr(BatchWriter, "_once", BatchWriter._carefully)


async def answers_of(ledger: Ledger, keyed: dict[str, c.Command]) -> list[object]:
    asked = [ledger.execute(command, key=key) for key, command in keyed.items()]
    return await asyncio.gather(*asked, return_exceptions=True)


async def rows_of(owner, keys) -> list[object]:
    """What the log says of each key; what is not in it is a rejection."""
    sql = "SELECT key, position, command_events, recorded_at_us FROM events WHERE key = ANY ($1)"
    stored = {key: Receipt(*row) for key, *row in await owner.fetch(sql, list(keys))}
    return [stored.get(key) for key in keys]


@pytest.mark.parametrize("kind", [Unthoughtof, StopIteration, lambda: asyncpg.RaiseError("of a trigger")])
@pytest.mark.parametrize("place", PLACES)
async def test_once_in_a_while(ledger, database_url, pool, owner, monkeypatch, place: str, kind):
    """Under load, batch after batch; whoever asks again gets the same."""
    await rich(ledger, "a", 60)
    turns = count()
    break_at(monkeypatch, place, lambda: next(turns) % 4 == 1, kind)
    keyed: dict[str, c.Command] = {f"order:{n}": order("a", f"o{n}") for n in range(80)}
    keyed["nobody"] = order("nobody", "o")
    async with Ledger(database_url, pool) as through:
        answers = [
            *await answers_of(through, dict(list(keyed.items())[:50])),
            *await answers_of(through, dict(list(keyed.items())[50:])),
        ]
    rows = await rows_of(owner, keyed)
    assert [answer if isinstance(answer, Receipt) else None for answer in answers] == rows
    refused = [type(answer) for answer in answers if not isinstance(answer, Receipt)]
    assert refused == [InsufficientCreditsError] * 20 + [AccountNotOpenError]
    assert (await ledger.read.account("a")).balance == 0
    assert await positions(ledger) == list(range(1, 3 + 120 + 1))
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []


async def test_what_may_stand_is_never_answered_with_a_refusal(ledger, database_url, owner, monkeypatch):
    """Each attempt commits, and each answer is lost in an error of ours."""
    await rich(ledger, "a", 3)
    break_at(monkeypatch, "sent", lambda: True)
    door = Appender(database_url, LogClock(), give_up_s=1)
    await door.start()
    with pytest.raises(LedgerUnavailableError):
        await door.submit(order("a", "o"), "order:o")
    assert await rows_of(owner, ["order:o"]) != [None]
    await door.close()


@pytest.mark.parametrize("place", ["committed", "all done"])
async def test_each_time(ledger, database_url, pool, owner, monkeypatch, place: str):
    """A bug of ours after the commit: what stands in the log is answered with its receipt all the same."""
    await rich(ledger, "a", 3)
    break_at(monkeypatch, place, lambda: True)
    keyed: dict[str, c.Command] = {f"order:{n}": order("a", f"o{n}") for n in range(3)}
    keyed["other"] = c.GrantCredits("a", 1, "manual", "x")
    async with Ledger(database_url, pool) as through:
        answers = await answers_of(through, keyed)
    rows = await rows_of(owner, keyed)
    assert answers == rows
    assert None not in rows


async def test_a_command_that_alone_breaks_something_takes_nobody_with_it(
    ledger, database_url, pool, owner, monkeypatch
):
    """Its account cannot even be folded."""
    await rich(ledger, "a")
    await rich(ledger, "bad")

    def fold(state, type_name, data):
        if type_name == "TermsAccepted" and "bad terms" in data:
            raise Unthoughtof
        return decide.fold(state, type_name, data)

    await ledger.execute(c.AcceptTerms("bad", "bad terms", 0), key="bad terms")
    monkeypatch.setattr("ledger.log.snapshots.fold", fold)
    keyed: dict[str, c.Command] = {"o1": order("a", "o1"), "o2": order("bad", "o2"), "o3": order("a", "o3")}
    async with Ledger(database_url, pool) as through:
        one, bad, two = await answers_of(through, keyed)
    assert [one, None, two] == await rows_of(owner, keyed)
    assert type(bad) is LedgerError
    assert "Unthoughtof" in str(bad)


async def test_what_postgres_says_of_the_rows_is_final_and_all_else_is_tried_again(
    ledger, database_url, owner, monkeypatch
):
    await rich(ledger, "a")
    await ledger.execute(order("a", "taken", "j"), key="taken")
    door = Appender(database_url, LogClock(), give_up_s=0.5)
    await door.start()
    with pytest.raises(AlreadyExistsError):
        await door.submit(order("a", "o", "j"), "o")
    with pytest.raises(LedgerError, match="refused the event"):
        await door.submit(order("a", "o", "j2", deadline_s=2**62), "o")
    real = AppendConnection.append

    async def unheard_of(*sent):
        await real(*sent)
        raise asyncpg.PostgresError.new({"C": "XX123", "M": "not seen before"})

    once = iter((unheard_of,))

    async def first_unheard_of(*sent):
        return await next(once, real)(*sent)

    monkeypatch.setattr(AppendConnection, "append", first_unheard_of)
    answer = await door.submit(order("a", "o1"), "o1")
    assert [answer] == await rows_of(owner, ["o1"])
    await owner.execute("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$")
    await owner.execute("CREATE TRIGGER no BEFORE INSERT ON events EXECUTE FUNCTION no()")
    with pytest.raises(LedgerUnavailableError):
        await door.submit(order("a", "o2"), "o2")
    await owner.execute("DROP TRIGGER no ON events")
    assert (await door.submit(order("a", "o2"), "o2")).events == 2
    await door.close()
