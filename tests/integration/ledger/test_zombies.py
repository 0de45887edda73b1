"""An attempt whose connection is lost but that may still pass: nobody is told no before it cannot."""

import asyncio
import time
from collections import Counter

import asyncpg
import pytest

from ledger import commands as c
from ledger.errors import InsufficientCreditsError
from ledger.log.append_connection import AppendConnection
from ledger.log.batch_writer import DECISION_AGE_US_MAX
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import Proxy, hold_lock, order, rich
from tests.support.hand_made import BEGIN
from tests.support.locks import WAITING_TO_APPEND
from tests.support.turns import turns_of
from tests.support.waiting import eventually

LIFE_S = 1.0
CALL = b"CreditsCharged"


class Late(Proxy):
    """Keeps the first call that it sees, and its connection to the server, until `passes` is set.

    New clients get through once `opens` is set.
    """

    def __init__(self, upstream) -> None:
        super().__init__(upstream)
        self.passes = asyncio.Event()
        self.opens = asyncio.Event()
        self.answers = b""
        self.done = asyncio.Event()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self.cuts:
            await self.opens.wait()
        assert isinstance(self._upstream, str)
        server, to_server = await asyncio.open_unix_connection(self._upstream)

        async def back() -> None:
            while data := await server.read(65536):
                self.answers += data
                to_client.write(data)
            to_client.close()

        task = asyncio.create_task(back())
        while data := await client.read(65536):
            if CALL in data and not self.cuts:
                self.cuts = 1
                to_client.close()
                await self.passes.wait()
                self.answers = b""
                to_server.write(data)
                await eventually(lambda: b"Z" in self.answers)
                self.done.set()
                break
            to_server.write(data)
        to_server.close()
        await asyncio.wait([task], timeout=5)
        to_client.close()


@pytest.fixture
async def late(owner: "asyncpg.Connection[asyncpg.Record]"):
    database = await owner.fetchval("SELECT current_database()")
    user = await owner.fetchval("SELECT session_user")
    async with Late(owner._addr) as proxy:  # type: ignore[attr-defined]
        yield proxy, f"postgresql://{user}@127.0.0.1:{proxy.port}/{database}"


async def lost(ledger: Ledger, through: Ledger, proxy: Late) -> "asyncio.Task[object]":
    """An order of credits that end soon; its first attempt is on its way when the second finds them ended."""
    await rich(ledger, "a", 0)
    # A session that has parsed and not run a statement is ended after five seconds; this one has run one.
    await through.execute(c.OpenAccount("w", "0" * 64), key="open:w")
    ends_us = int((time.time() + LIFE_S) * 1e6)
    await ledger.execute(c.GrantCredits("a", 5, "manual", "x", None, ends_us), key="grant")
    asked = asyncio.create_task(through.execute(order("a", "o", price=5), key="order:o"))
    await eventually(lambda: proxy.cuts)
    await eventually(lambda: through.now_us() > ends_us)  # what it will decide by
    proxy.opens.set()
    return asked


async def test_who_would_be_rejected_hears_nothing_while_the_first_attempt_may_pass(
    ledger, database_url, pool, owner, late
):
    proxy, url = late
    async with Ledger(url, pool) as through:
        asked = await lost(ledger, through, proxy)
        await asyncio.sleep(1)
        assert not asked.done(), "told no, and the order stands a moment later"
        proxy.passes.set()
        receipt = await asked
    assert receipt == await ledger.execute(order("a", "o", price=5), key="order:o")
    assert [event.type for event in await ledger.read.stream("job-o-1")] == ["JobQueued"]


async def test_who_is_told_no_stays_told_no(ledger, database_url, pool, owner, late):
    """Once the first attempt is too old for the database it is rejected by its time, whenever it arrives."""
    proxy, url = late
    async with Ledger(url, pool) as through:
        began = time.monotonic()
        asked = await lost(ledger, through, proxy)
        with pytest.raises(InsufficientCreditsError):
            await asked
        assert time.monotonic() - began > DECISION_AGE_US_MAX / 1e6 - LIFE_S
        head = await ledger.read.head()
        proxy.passes.set()
        await proxy.done.wait()
        assert b"time" in proxy.answers
        assert await ledger.read.head() == head
    assert await owner.fetchval("SELECT count(*) FROM events WHERE key = 'order:o'") == 0


async def test_an_attempt_that_waits_for_the_lock_without_its_client_passes_once(
    ledger, database_url, pool, owner
):
    """Its backend hears of the lost connection only when it wants to answer."""
    await rich(ledger, "a", 5)
    held = await hold_lock(owner)
    asked = asyncio.create_task(ledger.execute(order("a", "o", price=5), key="order:o"))
    await eventually(lambda: owner.fetchval(WAITING_TO_APPEND))
    for connection in ledger._appender._writer._connections:
        connection.terminate()
    await eventually(lambda: two_wait(owner))
    await held.rollback()
    receipt = await asked
    assert receipt.events == 2
    assert (await ledger.read.account("a")).balance == 0
    assert await owner.fetchval("SELECT count(*) FROM events WHERE key = 'order:o'") == 1


async def two_wait(owner) -> bool:
    return bool(await owner.fetchval(WAITING_TO_APPEND) >= 2)


@pytest.mark.parametrize("at_once", [1, 5])
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_who_would_be_rejected_gets_the_receipt_that_stands(
    ledger, database_url, pool, at_once: int, warm: bool
):
    """The credits are gone because this very order has spent them."""
    await rich(ledger, "a", at_once)
    async with Ledger(database_url, pool) as other:
        if warm:
            await other.execute(c.OpenAccount("a", "0" * 64), key="warm")
        orders = [order("a", f"o{n}") for n in range(at_once)]
        first = [await ledger.execute(one, key=f"order:{one.order}") for one in orders]
        refused = other.execute(order("a", "more"), key="more")
        again = [other.execute(one, key=f"order:{one.order}") for one in orders]
        *answers, no = await asyncio.gather(*again, refused, return_exceptions=True)
        assert answers == first
        assert isinstance(no, InsufficientCreditsError)
        assert [await other.execute(one, key=f"order:{one.order}") for one in orders] == first


async def test_the_slow_way_tells_of_keys_that_stand(ledger, owner):
    await rich(ledger, "a", 5)
    receipt = await ledger.execute(order("a", "o"), key="order:o")
    begun = await owner.fetchrow(BEGIN, [], [], None, None, "order:o\x1fnew", "account-a", "3")
    assert begun["outcome"] == "ok"
    assert '"keys" : [["order:o", ' in begun["detail"]
    assert str(receipt.recorded_at_us) in begun["detail"]


async def test_two_processes_on_one_hot_account_each_get_their_turn(ledger, database_url, pool, monkeypatch):
    """Both optimistic, one of them would wait for as long as the other goes on."""
    await rich(ledger, "a", 1000)
    late: Counter[str] = Counter()
    append = AppendConnection.append

    async def noted(self, cursors, reads, batch, decided):
        outcome = await append(self, cursors, reads, batch, decided)
        late.update(pending.key for pending in batch if outcome.outcome == "stale")
        return outcome

    monkeypatch.setattr(AppendConnection, "append", noted)
    stop = asyncio.Event()
    done = {"x": 0, "y": 0}

    async def busy(name: str, door: Ledger) -> None:
        while not stop.is_set():
            await door.execute(c.GrantCredits("a", 1, "manual", "x"), key=f"{name}.{done[name]}")
            done[name] += 1

    async with Ledger(database_url, pool) as other:
        # A connection's first append takes tens of milliseconds: the server plans the function's statements.
        await other.execute(c.GrantCredits("a", 1, "manual", "x"), key="first")
        tasks = [asyncio.create_task(busy(name, door)) for name, door in (("x", ledger), ("y", other))]
        await asyncio.sleep(2)
        stop.set()
        await asyncio.gather(*tasks)
    assert min(done.values()) > 10, done
    assert min(done.values()) * 4 > max(done.values()), done
    assert set(late.values()) == {1}, "too late again, though it had stood in line for the lock"
    turns = turns_of(await ledger.read.stream("account-a"), {"x": [], "y": []})
    # More often only where the machine lets one wait between being late and standing in line.
    assert turns.soon > 0.75, turns
