"""Real notifier processes, killed with SIGKILL at each step: never a loss, at most one double per message.

A trigger holds the statement of a step until the test lets go, so that the process dies exactly there.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.integration.services.notifier.conftest import LEASE_S, StartNotifier, finished
from tests.support.order_fixture import OrderFixture
from tests.support.telegram import ScriptedTelegram, Step
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

_GATE = 77
_HOLD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared({gate}); RETURN NEW; END $$;
GRANT EXECUTE ON FUNCTION hold() TO PUBLIC;
CREATE TRIGGER hold BEFORE {what} ON deliveries FOR EACH ROW {when} EXECUTE FUNCTION hold()
"""

# The server holds the databases of other test processes, too.
_WAITING = """SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE locktype = 'advisory' AND objid = $1 AND NOT granted AND datname = current_database()"""


class Gate:
    """Holds a statement on `deliveries`, as long as it is shut."""

    def __init__(self, owner: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._owner = owner

    async def someone_waits(self) -> bool:
        """Whether a process has come to the step and is held there."""
        return bool(await self._owner.fetchval(f"SELECT EXISTS ({_WAITING})", _GATE))

    async def open(self) -> None:
        """What died there is really dead: its backend ends with it, as on a lost connection. Then let go."""
        await self._owner.execute(f"SELECT pg_terminate_backend(pid) FROM ({_WAITING}) AS w", _GATE)
        await self._owner.execute("DROP TRIGGER hold ON deliveries; DROP FUNCTION hold()")
        await self._owner.execute("SELECT pg_advisory_unlock($1)", _GATE)


@asynccontextmanager
async def gate(database_url: str, what: str, when: str = "") -> AsyncIterator[Gate]:
    owner = await asyncpg.connect(database_url)
    try:
        await owner.execute("SELECT pg_advisory_lock($1)", _GATE)
        await owner.execute(_HOLD.format(gate=_GATE, what=what, when=when))
        yield Gate(owner)
    finally:
        await owner.close()


async def settled(pool: "Pool") -> bool:
    return bool(await pool.fetchval("SELECT bool_and(settled_at IS NOT NULL) FROM deliveries"))


@pytest.mark.parametrize(
    ("what", "when", "copies"),
    [
        pytest.param("INSERT", "", 1, id="while-writing-down-what-is-owed"),
        pytest.param("UPDATE", "WHEN (NEW.claims > OLD.claims)", 1, id="while-taking-it"),
        pytest.param("UPDATE", "WHEN (NEW.state = 'sending')", 1, id="before-writing-down-that-it-sends"),
        pytest.param("UPDATE", "WHEN (NEW.state = 'sent')", 2, id="after-sending-before-the-record"),
    ],
)
async def test_killed_at_a_step_in_the_database(
    studio: OrderFixture,
    start: StartNotifier,
    telegram: ScriptedTelegram,
    pool: "Pool",
    database_url: str,
    what: str,
    when: str,
    copies: int,
) -> None:
    order = await finished(studio)
    async with gate(database_url, what, when) as step:
        process = await start("first")
        await eventually(step.someone_waits)
        process.kill()
        await step.open()
    await start("second")
    await eventually(lambda: settled(pool))
    assert [shown.video for shown in telegram.sent(order.seller.chat_id)] == [b"the film"] * copies
    assert await pool.fetchval("SELECT state FROM deliveries") == "sent"


@pytest.mark.parametrize(
    ("arrives", "copies"),
    [pytest.param(False, 1, id="before-it-arrives"), pytest.param(True, 2, id="after-it-arrived")],
)
async def test_killed_while_telegram_has_the_request(
    studio: OrderFixture,
    start: StartNotifier,
    telegram: ScriptedTelegram,
    pool: "Pool",
    arrives: bool,
    copies: int,
) -> None:
    order = await finished(studio)
    held = telegram.next("sendVideo", Step(takes_effect=arrives, hold=True))
    process = await start("first")
    await asyncio.wait_for(held.reached.wait(), 60)
    process.kill()
    await start("second")
    await eventually(lambda: settled(pool))
    assert len(telegram.sent(order.seller.chat_id)) == copies
    assert await pool.fetchval("SELECT unknown_sends FROM deliveries") == 1


@pytest.mark.chaos
async def test_killed_again_and_again_it_stops_at_one_double(
    studio: OrderFixture, start: StartNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    order = await finished(studio)
    for name in ("first", "second"):
        held = telegram.next("sendVideo", Step(hold=True))
        process = await start(name)
        await asyncio.wait_for(held.reached.wait(), 60)
        process.kill()
    await start("third")
    await eventually(lambda: settled(pool))
    assert len(telegram.sent(order.seller.chat_id)) == 2
    assert await pool.fetchval("SELECT state FROM deliveries") == "failed"


async def test_frozen_past_its_lease_doubles_once_at_most(
    studio: OrderFixture, start: StartNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    order = await finished(studio)
    held = telegram.next("sendVideo", Step(hold=True))
    frozen = await start("frozen")
    await asyncio.wait_for(held.reached.wait(), 60)
    frozen.signal(signal.SIGSTOP)
    await start("second")
    await eventually(lambda: settled(pool))
    held.release.set()
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: '"first": false' in frozen.log)  # it hears late that its own had arrived
    assert len(telegram.sent(order.seller.chat_id)) == 2


async def test_a_graceful_stop_finishes_what_is_being_sent(
    studio: OrderFixture, start: StartNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    order = await finished(studio)
    held = telegram.next("sendVideo", Step(hold=True))
    process = await start("first")
    await asyncio.wait_for(held.reached.wait(), 60)
    stopping = asyncio.create_task(asyncio.to_thread(process.stop))
    await eventually(lambda: "stopping" in process.log)
    held.release.set()
    assert await stopping == 0
    assert await settled(pool)
    assert len(telegram.sent(order.seller.chat_id)) == 1


@pytest.mark.chaos
async def test_a_long_upload_is_kept_without_bothering_the_database(
    studio: OrderFixture, start: StartNotifier, telegram: ScriptedTelegram, pool: "Pool", database_url: str
) -> None:
    """Longer than the lease: renewed often enough to stay ours, and no more often than that."""
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        "CREATE TABLE renewals (at timestamptz); GRANT INSERT ON renewals TO PUBLIC;"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN INSERT INTO renewals VALUES (clock_timestamp()); RETURN NEW; END $$;"
        "CREATE TRIGGER note BEFORE UPDATE ON deliveries FOR EACH ROW "
        "WHEN (NEW.state = 'sending' AND OLD.state = 'sending') EXECUTE FUNCTION note()"
    )
    order = await finished(studio)
    held = telegram.next("sendVideo", Step(hold=True))
    await start("first")
    await start("second")
    await asyncio.wait_for(held.reached.wait(), 60)

    async def renewed() -> bool:
        rows = await owner.fetchrow("SELECT count(*), extract(epoch FROM max(at) - min(at)) FROM renewals")
        assert rows is not None
        if (rows[1] or 0) < 2 * LEASE_S:
            return False
        assert rows[0] <= 4 * (float(rows[1]) / LEASE_S) + 3
        return True

    await eventually(renewed)
    held.release.set()
    await eventually(lambda: settled(pool))
    await owner.close()
    assert len(telegram.sent(order.seller.chat_id)) == 1
