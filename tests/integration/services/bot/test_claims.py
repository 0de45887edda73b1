"""Claims of chats: one process has a chat at a time, and none keeps one that it cannot serve."""

import asyncio
from collections import defaultdict
from functools import partial
from typing import Any, cast

import asyncpg
import pytest
from aiogram.fsm.storage.base import StorageKey

from services.accounts.erase import query
from services.adapters.telegram.updates import PER_CHAT_MAX, store_updates
from services.bot.chat_state import PostgresStorage
from services.bot.inbox import ChatClaims, InboxRunner, StoredUpdate
from services.bot.inbox.lease import HELD, Lease, lease_clock_s
from services.bot.order_history import History
from tests.integration.services.bot.inboxes import Away, FilledInbox, Recorder, running, update
from tests.integration.services.monitor.test_append_lock import as_login
from tests.support.locks import WAITING
from tests.support.waiting import eventually

CHATS, OF_EACH = 40, 5


def tap(update_id: int, data: str = "menu") -> dict[str, Any]:
    chat = {"id": 5, "type": "private"}
    query = {"id": "1", "from": {"id": 5}, "message": {"message_id": 9, "chat": chat}, "data": data}
    return {"update_id": update_id, "callback_query": query}


def all_of_flood(handler: Recorder) -> bool:
    return len(handler.handled) == PER_CHAT_MAX


async def test_any_number_of_processes_handle_each_update_once_and_each_chat_in_order(pool: Any) -> None:
    handled: dict[int, list[int]] = defaultdict(list)
    busy: set[int] = set()
    overlaps = 0

    async def act(stored: StoredUpdate) -> None:
        nonlocal overlaps
        overlaps += stored.chat_id in busy
        busy.add(stored.chat_id)
        await asyncio.sleep(0)  # let the others take a look
        busy.discard(stored.chat_id)
        handled[stored.chat_id].append(stored.update_id)

    inbox = FilledInbox(pool)
    for n in range(OF_EACH):  # interleaved, as people write
        await inbox.store([update(1 + n * CHATS + chat, 100 + chat) for chat in range(CHATS)])
    recorders = [Recorder(act) for _ in range(3)]
    async with (
        running(FilledInbox(pool), recorders[0], chats_at_once=4),
        running(FilledInbox(pool), recorders[1], chats_at_once=4),
        running(FilledInbox(pool), recorders[2], chats_at_once=4),
    ):
        await eventually(lambda: sum(map(len, handled.values())) == CHATS * OF_EACH)
    assert overlaps == 0
    assert all(ids == sorted(ids) and len(ids) == OF_EACH for ids in handled.values())
    assert sum(len(recorder.handled) for recorder in recorders) == CHATS * OF_EACH


async def test_a_first_update_that_comes_later_does_not_open_a_claimed_chat(pool: Any) -> None:
    """The notifier's numbers are below all others."""
    one, other = FilledInbox(pool), FilledInbox(pool)
    await one.store([update(2)])
    assert [stored.update_id for stored in await one.take(False, 5)] == [2]
    await pool.execute("INSERT INTO updates (update_id, chat_id, user_id, body) VALUES (-7, 5, 5, '{}')")
    assert await other.take(False, 5) == []


async def test_takers_at_once_choose_different_chats(pool: Any) -> None:
    """One is held up in its transaction: the other passes by what it has locked, and does not wait."""
    one, other = FilledInbox(pool), FilledInbox(pool)
    await one.store([update(n, n) for n in (1, 2, 3, 4)])
    async with pool.acquire() as connection:
        held = connection.transaction()
        await held.start()
        slow = FilledInbox(cast(Any, connection))
        first = {stored.chat_id for stored in await slow.take(False, 2)}
        second = {stored.chat_id for stored in await asyncio.wait_for(other.take(False, 9), 30)}
        await held.commit()
    assert (first, second) == ({1, 2}, {3, 4})


async def test_a_chat_whose_process_is_gone_is_taken_over_and_what_it_says_late_changes_nothing(
    pool: Any,
) -> None:
    dead, heir = FilledInbox(pool, lease_s=0.5), FilledInbox(pool)
    await dead.store([update(1), update(2)])
    (stored,) = await dead.take(False, 5)
    assert await heir.take(False, 5) == []
    (again,) = await eventually(lambda: heir.take(False, 5))
    assert (again.update_id, again.begun) == (1, 2)
    await dead.renew()
    await dead.give_back(stored, 5.0)
    await dead.release()
    assert await FilledInbox(pool).take(False, 5) == [], "it is the heir's"
    await heir.done(again)
    assert [stored.update_id for stored in await heir.take(False, 5)] == [2]


async def test_a_claim_that_its_run_does_not_know_of_is_not_renewed(pool: Any) -> None:
    """The answer to `take` was lost; or a restore has brought back what the living run had given back."""
    inbox = FilledInbox(pool, lease_s=0.5)
    await inbox.store([update(1)])
    (stored,) = await inbox.take(False, 5)
    await inbox.give_back(stored)
    claimed = (
        "UPDATE chat_claims SET owner = $1, until = clock_timestamp() + interval '0.5 s' WHERE chat_id = 5"
    )
    assert await pool.execute(claimed, inbox.owner) == "UPDATE 1"

    async def taken_over() -> list[StoredUpdate]:
        await inbox.renew()
        return await inbox.take(False, 5)

    (again,) = await eventually(taken_over, what="the claim lapses")
    assert again.update_id == 1


async def test_claims_are_kept_while_they_are_renewed(pool: Any) -> None:
    gate, stop = asyncio.Event(), asyncio.Event()

    async def act(stored: StoredUpdate) -> None:
        await gate.wait()

    inbox, handler = FilledInbox(pool, lease_s=1.5), Recorder(act)
    await inbox.store([update(1)])
    runner = InboxRunner(inbox, handler)
    work = asyncio.create_task(ChatClaims(inbox, stop).run(runner.run))
    first = await eventually(lambda: pool.fetchval("SELECT until FROM chat_claims"))
    await eventually(
        lambda: pool.fetchval("SELECT until > $1::timestamptz + interval '3 s' FROM chat_claims", first)
    )
    assert await FilledInbox(pool).take(False, 5) == []
    gate.set()
    await eventually(lambda: handler.handled == [1])
    stop.set()
    await work


async def test_trouble_of_one_process_is_not_the_chats(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells the person once and gives back; a process that fares better answers."""
    monkeypatch.setattr("services.bot.inbox.runner.TELL_AFTER_S", 0.05)
    monkeypatch.setattr("services.bot.inbox.runner.GIVE_BACK_S", 0.3)

    async def act(stored: StoredUpdate) -> None:
        raise Away

    inbox, sick, well = FilledInbox(pool), Recorder(act), Recorder()
    await inbox.store([update(n, n) for n in range(1, 11)])
    async with running(inbox, sick):
        await eventually(lambda: pool.fetchval("SELECT count(troubled_at) = 10 FROM updates"))
        async with running(FilledInbox(pool), well) as healthy:

            def all_handled() -> bool:
                healthy.wake()  # as NOTIFY does
                return sorted(well.handled) == list(range(1, 11))

            await eventually(all_handled)
    assert sorted(sick.waited) == list(range(1, 11)) and well.waited == []


async def test_a_stop_in_good_order_gives_back_at_once_and_counts_as_no_beginning(pool: Any) -> None:
    tried = asyncio.Event()

    async def act(stored: StoredUpdate) -> None:
        tried.set()
        raise Away

    inbox = FilledInbox(pool)
    await inbox.store([update(1)])
    async with running(inbox, Recorder(act)):
        await asyncio.wait_for(tried.wait(), 30)
    (stored,) = await FilledInbox(pool).take(False, 5)
    assert stored.begun == 1


async def test_what_telegram_sends_again_is_dropped_though_it_was_answered_long_ago(pool: Any) -> None:
    inbox, handler = FilledInbox(pool), Recorder()
    many = [update(n) for n in range(1, PER_CHAT_MAX + 3)]
    await inbox.store(many)
    async with running(inbox, handler) as runner:
        await eventually(lambda: len(handler.handled) == PER_CHAT_MAX)
        await asyncio.gather(*(store_updates(pool, many) for _ in range(3)))
        await inbox.store([*many, update(99)])
        runner.wake()
        await eventually(lambda: handler.handled[-1] == 99)
    assert handler.handled == [*range(3, PER_CHAT_MAX + 3), 99], "and what a flood left out stays out"
    await pool.execute("UPDATE seen_updates SET seen_at = seen_at - interval '49 hours'")
    await inbox.clean()
    assert await pool.fetchval("SELECT count(*) FROM seen_updates") == 0


async def test_the_next_process_knows_the_last_tap_and_that_a_flood_was_told(pool: Any) -> None:
    one, other = FilledInbox(pool), FilledInbox(pool)
    await one.store([tap(1), tap(2), update(3), tap(4)])
    taps = []
    for inbox in (one, other, one, other):
        (stored,) = await inbox.take(False, 5)
        taps.append(stored.last_tap)
        await inbox.done(stored)
    assert taps == ["", "9:menu", "9:menu", ""], "what is said between two taps makes them two"
    first, second = Recorder(), Recorder()
    for number, handler in enumerate((first, second)):
        await one.store([update(100 * (number + 1) + n) for n in range(PER_CHAT_MAX + 1)])
        async with running(FilledInbox(pool), handler):
            await eventually(partial(all_of_flood, handler))
    assert (len(first.told), second.told) == (1, [])
    await pool.execute("UPDATE chat_claims SET until = until - interval '3 minutes'")
    await one.clean()
    assert await pool.fetchval("SELECT count(*) FROM chat_claims") == 0


async def test_a_handler_whose_claim_has_lapsed_writes_nothing_into_the_chats_state(pool: Any) -> None:
    """Else it would overwrite what its heir has written, or give to who came back what was erased."""
    await pool.execute("INSERT INTO accounts (account, telegram_id, locale) VALUES ('a', 5, 'en')")
    storage, key = PostgresStorage(pool), StorageKey(1, 5, 5)
    lease = Lease(60, lease_clock_s())

    async def handler() -> None:
        HELD.set(lease)
        await storage.set_data(key, {"by": "its holder"})
        lease.end()
        for late in (storage.set_data(key, {"by": "nobody"}), storage.set_state(key, "late")):
            with pytest.raises(ConnectionAbortedError):
                await late

    await asyncio.create_task(handler())
    assert (await storage.get_data(key), await storage.get_state(key)) == ({"by": "its holder"}, None)


async def test_an_erased_persons_free_claims_go_and_the_held_one_when_it_was_free(pool: Any) -> None:
    inbox = FilledInbox(pool)
    await inbox.store([update(1, 5), update(2, 6)])
    for stored in await inbox.take(False, 5):
        if stored.chat_id == 6:
            await inbox.done(stored)
    for telegram_id in (5, 6):
        await pool.execute(query("forget_claims"), telegram_id)
    assert [row[0] for row in await pool.fetch("SELECT chat_id FROM chat_claims")] == [5], "its own handler's"


async def test_who_takes_webhooks_may_store_updates_and_no_more(pool: Any, database_url: str) -> None:
    async with asyncpg.create_pool(as_login(database_url, "web"), min_size=1, max_size=1) as web:
        await store_updates(web, [update(1)])
        for forbidden in (
            "SELECT body FROM updates",
            "INSERT INTO updates (update_id, chat_id, body) VALUES (2, 5, '{}')",
            "UPDATE updates SET begun = 0",
            "DELETE FROM updates",
            "DELETE FROM seen_updates",
            "TABLE chat_claims",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await web.execute(forbidden)
    assert await pool.fetchval("SELECT count(*) FROM updates") == 1


async def test_welcomes_are_counted_by_one_process_at_a_time(pool: Any) -> None:
    one, other = (History(pool, cast(Any, None)) for _ in range(2))
    order: list[str] = []

    async def count() -> None:
        async with other.welcomes_turn():
            order.append("other")

    async with one.welcomes_turn():
        waiting = asyncio.create_task(count())
        await eventually(lambda: pool.fetchval(f"{WAITING} AND locktype = 'advisory'"))
        order.append("one")
    await waiting
    assert order == ["one", "other"]
