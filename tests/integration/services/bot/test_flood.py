"""A flood of one person: cut to its newest, told once, and nobody else waits for it."""

import asyncio
from typing import Any

from structlog.testing import capture_logs

from services.adapters.telegram.updates import PER_CHAT_MAX
from services.bot.inbox import InboxRunner, StoredUpdate
from tests.integration.services.bot.inboxes import Away, FilledInbox, Recorder, running, update
from tests.support.waiting import eventually

FLOODER, OTHER = 5, 6
FLOOD = 1600


async def store_flood(inbox: FilledInbox, first: int = 1, number: int = FLOOD) -> None:
    """As polling stores: a hundred at a time."""
    for start in range(first, first + number, 100):
        count = min(100, first + number - start)
        await inbox.store([update(n, FLOODER) for n in range(start, start + count)])


def question(update_id: int, chat_id: int) -> dict[str, Any]:
    """What Telegram asks before a payment."""
    sender = {"id": chat_id, "is_bot": False, "first_name": "A"}
    return {"update_id": update_id, "pre_checkout_query": {"id": "1", "from": sender}}


def paid(update_id: int, chat_id: int, kind: str = "successful_payment") -> dict[str, Any]:
    told = update(update_id, chat_id)
    return told | {"message": told["message"] | {kind: {"currency": "XTR"}}}


async def left_of(pool: Any, chat_id: int) -> list[int]:
    rows = await pool.fetch("SELECT update_id FROM updates WHERE chat_id = $1 ORDER BY 1", chat_id)
    return [row[0] for row in rows]


async def test_others_are_answered_while_a_flood_stands(pool: Any) -> None:
    async def act(stored: StoredUpdate) -> None:
        if stored.chat_id == FLOODER:
            await asyncio.Event().wait()

    inbox, handler = FilledInbox(pool), Recorder(act)
    await store_flood(inbox)
    await inbox.store([update(FLOOD + 1, OTHER)])
    runner = InboxRunner(inbox, handler)
    task = asyncio.create_task(runner.run(asyncio.Event()))
    try:
        await eventually(lambda: handler.handled == [FLOOD + 1])
        assert len(await left_of(pool, FLOODER)) == PER_CHAT_MAX
    finally:
        for part in (task, *runner._tasks):
            part.cancel()


async def test_the_newest_are_kept_and_what_is_about_money(pool: Any) -> None:
    inbox = FilledInbox(pool)
    money = [question(10_001, FLOODER), paid(10_002, FLOODER), paid(10_003, FLOODER, "refunded_payment")]
    await inbox.store([update(1, FLOODER), *money, update(2, OTHER)])
    assert [stored.update_id for stored in await inbox.take(False, 1)] == [1]
    with capture_logs() as logs:
        await store_flood(inbox, first=100)
    newest = list(range(100 + FLOOD - PER_CHAT_MAX, 100 + FLOOD))
    assert await left_of(pool, FLOODER) == [1, *newest, 10_001, 10_002, 10_003]
    assert await left_of(pool, OTHER) == [2]
    dropped = [entry["count"] for entry in logs if entry["event"] == "updates_dropped"]
    assert sum(dropped) == FLOOD - PER_CHAT_MAX
    rows = await pool.fetch("SELECT update_id, dropped FROM updates WHERE dropped > 0")
    assert [tuple(row) for row in rows] == [(newest[0], FLOOD - PER_CHAT_MAX)]


async def test_a_flood_is_told_once_before_its_newest_are_read(pool: Any) -> None:
    gate = asyncio.Event()

    async def act(stored: StoredUpdate) -> None:
        await gate.wait()

    inbox, handler = FilledInbox(pool), Recorder(act)
    await inbox.store([update(1, FLOODER)])
    async with running(inbox, handler) as runner:
        await eventually(lambda: _begun(pool, 1))
        for first in (100, 100 + FLOOD):
            for start in range(first, first + FLOOD, 100):
                await store_flood(inbox, start, 100)
                runner.wake()
                assert runner.status() == 1, "nothing piles up here"
        gate.set()
        last = 100 + 2 * FLOOD
        await eventually(lambda: handler.handled == [1, *range(last - PER_CHAT_MAX, last)])
        await store_flood(inbox, last, 100)
        runner.wake()
        await eventually(lambda: len(handler.handled) == 1 + 2 * PER_CHAT_MAX)
    assert handler.told == [last - PER_CHAT_MAX], "once, and the flood that goes on is the same one"


async def _begun(pool: Any, update_id: int) -> bool:
    return bool(await pool.fetchval("SELECT begun FROM updates WHERE update_id = $1", update_id))


async def test_an_apology_that_cannot_be_said_now_is_said_later(pool: Any) -> None:
    inbox, handler = FilledInbox(pool), Recorder()
    handler.deaf = 2
    await store_flood(inbox, number=PER_CHAT_MAX + 1)
    async with running(inbox, handler):
        await eventually(lambda: len(handler.handled) == PER_CHAT_MAX)
    assert handler.told == [2] and handler.handled[0] == 2


async def test_between_two_answers_to_one_chat_every_other_that_waits_is_served(pool: Any) -> None:
    """One slot for all, so that the order is told."""
    chats = {FLOODER: PER_CHAT_MAX, 6: 3, 7: 3, 8: 3}
    order: list[int] = []

    async def act(stored: StoredUpdate) -> None:
        order.append(stored.chat_id)

    inbox = FilledInbox(pool)
    ids = iter(range(1, 100))
    await inbox.store([update(next(ids), chat) for chat, number in chats.items() for _ in range(number)])
    async with running(inbox, Recorder(act), chats_at_once=1):
        await eventually(lambda: len(order) == sum(chats.values()), 30)
    for round_number in range(3):
        assert sorted(order[round_number * 4 : round_number * 4 + 4]) == sorted(chats)
    assert order[12:] == [FLOODER] * (PER_CHAT_MAX - 3)


async def test_what_is_about_money_does_not_wait_for_the_chat(pool: Any) -> None:
    async def hang(stored: StoredUpdate) -> None:
        if stored.update_id < 10:
            await asyncio.Event().wait()

    inbox, handler = FilledInbox(pool), Recorder(hang)
    await inbox.store([update(1, FLOODER), update(2, OTHER)])
    rest = InboxRunner(inbox, handler, chats_at_once=1)
    stuck = asyncio.create_task(rest.run(asyncio.Event()))
    try:
        await eventually(lambda: _begun(pool, 1))
        await inbox.store([question(10, FLOODER), paid(11, FLOODER), question(12, OTHER), update(13, OTHER)])
        rest.wake()
        async with running(inbox, handler, urgent=True):
            await eventually(lambda: sorted(handler.handled) == [10, 11, 12])
        assert handler.handled.index(10) < handler.handled.index(11), "in their order"
    finally:
        for part in (stuck, *rest._tasks):
            part.cancel()


async def test_what_is_gone_meanwhile_is_not_handled(pool: Any) -> None:
    """Left out of a flood, or its person was erased."""

    async def act(stored: StoredUpdate) -> None:
        if stored.update_id == 1:
            await pool.execute("DELETE FROM updates WHERE update_id IN (1, 2)")

    inbox, handler = FilledInbox(pool), Recorder(act)
    await inbox.store([update(1), update(2), update(3)])
    async with running(inbox, handler):
        await eventually(lambda: handler.handled[-1:] == [3])
    assert handler.handled == [1, 3]


async def test_trouble_of_one_chat_is_not_the_others(pool: Any) -> None:
    async def act(stored: StoredUpdate) -> None:
        if stored.chat_id == FLOODER:
            raise Away

    inbox, handler = FilledInbox(pool), Recorder(act)
    await inbox.store([update(1, FLOODER), update(2, OTHER)])
    async with running(inbox, handler, chats_at_once=1):
        await eventually(lambda: handler.handled == [2])
