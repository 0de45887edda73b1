"""The inbox: nothing is lost, a chat's order is kept, and what fails for ever blocks nobody for ever."""

import asyncio
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.adapters.telegram.updates import PER_CHAT_MAX
from services.bot.inbox import InboxRunner, StoredUpdate
from services.bot.inbox.runner import BEGUN_MAX
from services.bot.metrics import AnswerTimes
from services.platform.database import create_pool
from services.platform.settings import Settings
from tests.integration.services.bot.inboxes import Away, FilledInbox, Recorder, running, update
from tests.support.waiting import eventually


async def left(pool: Any) -> list[int]:
    return [row[0] for row in await pool.fetch("SELECT update_id FROM updates ORDER BY 1")]


async def test_handled_updates_are_deleted_and_duplicates_ignored(pool: Any) -> None:
    inbox, handler = FilledInbox(pool), Recorder()
    await inbox.store([update(1), update(2, text="a NUL \x00 and half a pair \ud800")])
    await inbox.store([update(2), update(3)])
    async with running(inbox, handler):
        await eventually(lambda: handler.handled == [1, 2, 3])
        await eventually(lambda: left_is_empty(pool))


async def left_is_empty(pool: Any) -> bool:
    return await left(pool) == []


async def test_a_chat_keeps_its_order_while_others_go_on(pool: Any) -> None:
    gate = asyncio.Event()

    async def act(stored: StoredUpdate) -> None:
        if stored.update_id == 1:
            await gate.wait()

    inbox, handler = FilledInbox(pool), Recorder(act)
    await inbox.store([update(1, 5), update(2, 5), update(3, 6)])
    async with running(inbox, handler) as runner:
        await eventually(lambda: handler.handled == [3])
        await inbox.store([update(4, 5), update(5, 6)])
        runner.wake()
        await eventually(lambda: handler.handled == [3, 5])
        gate.set()
        await eventually(lambda: handler.handled == [3, 5, 1, 2, 4])


async def test_not_more_chats_at_once_than_allowed(pool: Any) -> None:
    busy, most, gate = 0, 0, asyncio.Event()

    async def act(stored: StoredUpdate) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await gate.wait()
        busy -= 1

    inbox, handler = FilledInbox(pool), Recorder(act)
    await inbox.store([update(n, n) for n in range(1, 21)])
    async with running(inbox, handler, chats_at_once=4):
        await eventually(lambda: busy == 4)
        gate.set()
        await eventually(lambda: len(handler.handled) == 20)
    assert most == 4


async def test_what_was_in_hand_when_the_process_died_is_handled_by_the_next(pool: Any) -> None:
    async def hang(stored: StoredUpdate) -> None:
        await asyncio.Event().wait()

    inbox = FilledInbox(pool, lease_s=1)
    await inbox.store([update(1), update(2)])
    first = InboxRunner(inbox, Recorder(hang))
    task = asyncio.create_task(first.run(asyncio.Event()))
    await eventually(lambda: _begun(pool, 1))
    task.cancel()
    for chat_task in first._tasks:
        chat_task.cancel()
    handler = Recorder()
    async with running(inbox, handler):
        await eventually(lambda: handler.handled == [1, 2])


async def _begun(pool: Any, update_id: int) -> bool:
    return bool(await pool.fetchval("SELECT begun FROM updates WHERE update_id = $1", update_id))


async def test_a_failing_update_is_logged_once_told_once_and_parked(pool: Any) -> None:
    async def act(stored: StoredUpdate) -> None:
        if stored.update_id == 1:
            raise ValueError("a bug")

    inbox, handler = FilledInbox(pool), Recorder(act)
    await inbox.store([update(1), update(2)])
    with capture_logs() as logs:
        async with running(inbox, handler):
            await eventually(lambda: handler.handled == [2])
    assert handler.apologised == [1]
    assert [entry["event"] for entry in logs if entry.get("exc_info")] == ["update_failed"]
    assert [entry["event"] for entry in logs].count("update_parked") == 1
    row = await pool.fetchrow("SELECT failures, error, parked_at IS NOT NULL AS parked FROM updates")
    assert tuple(row) == (3, "ValueError: a bug", True)


async def test_trouble_waits_tells_the_person_once_and_goes_on(
    pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.bot.inbox.runner.TELL_AFTER_S", 0.3)
    tries = 0

    async def act(stored: StoredUpdate) -> None:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise Away

    inbox, handler = FilledInbox(pool), Recorder(act)
    await inbox.store([update(1), update(2)])
    with capture_logs() as logs:
        async with running(inbox, handler):
            await eventually(lambda: handler.handled == [1, 2])
    assert handler.waited == [1] and handler.apologised == []
    assert not [entry for entry in logs if entry.get("exc_info")]
    assert [entry["event"] for entry in logs].count("trouble_met") == 1


async def test_what_waiting_does_not_help_in_the_end_is_a_failure_with_an_apology(
    pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.bot.inbox.runner.TELL_AFTER_S", 0.05)
    monkeypatch.setattr("services.bot.inbox.runner.GIVE_BACK_S", 0.1)

    async def act(stored: StoredUpdate) -> None:
        if stored.update_id == 1:
            raise Away

    inbox, handler = FilledInbox(pool), Recorder(act)
    handler.patience_s = 0.5
    await inbox.store([update(1), update(2)])
    async with running(inbox, handler):
        await eventually(lambda: handler.handled == [2])
    assert (handler.waited, handler.apologised) == ([1], [1])
    assert await pool.fetchval("SELECT parked_at IS NOT NULL FROM updates")


async def test_trouble_without_end_is_parked(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.bot.inbox.runner.WAIT_S_MAX", 0.1)

    async def act(stored: StoredUpdate) -> None:
        raise Away

    inbox = FilledInbox(pool)
    await inbox.store([update(1)])
    async with running(inbox, Recorder(act)):
        await eventually(lambda: _parked(pool))


async def _parked(pool: Any) -> bool:
    return bool(await pool.fetchval("SELECT count(*) FROM updates WHERE parked_at IS NOT NULL"))


async def test_an_update_that_takes_its_process_with_it_is_parked(pool: Any) -> None:
    inbox, handler = FilledInbox(pool), Recorder()
    await inbox.store([update(1), update(2)])
    await pool.execute("UPDATE updates SET begun = $1 WHERE update_id = 1", BEGUN_MAX)
    async with running(inbox, handler):
        await eventually(lambda: handler.handled == [2])
    assert await left(pool) == [1]


async def test_postgres_going_away_while_handling_loses_nothing(pool: Any, settings: Settings) -> None:
    async def act(stored: StoredUpdate) -> None:
        async with await create_pool(settings, "killer", min_size=1, max_size=1) as killer:
            await killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'neurocards-test' AND datname = current_database()"
            )

    inbox, handler = FilledInbox(pool), Recorder(act)
    await inbox.store([update(1), update(2)])
    async with running(inbox, handler):
        await eventually(lambda: handler.handled == [1, 2])
        await eventually(lambda: left_is_empty(pool))


async def test_parked_updates_are_forgotten_in_time(pool: Any) -> None:
    inbox = FilledInbox(pool)
    await inbox.store([update(1), update(2), update(3)])
    for word in ("old", "new"):
        (stored,) = await inbox.take(False, 1)
        await inbox.park(stored, word)
    await pool.execute("UPDATE updates SET parked_at = parked_at - interval '15 days' WHERE update_id = 1")
    assert await inbox.clean() == 1
    assert await left(pool) == [2, 3]


async def test_an_update_of_our_own_is_left_out_of_no_flood_and_counted_in_none(pool: Any) -> None:
    await pool.execute("INSERT INTO updates (update_id, chat_id, user_id, body) VALUES (-7, 5, 5, '{}')")
    inbox, handler = FilledInbox(pool), Recorder()
    await inbox.store([update(number) for number in range(1, PER_CHAT_MAX + 11)])
    assert await left(pool) == [-7, *range(11, PER_CHAT_MAX + 11)]
    async with running(inbox, handler):
        await eventually(lambda: len(handler.handled) == PER_CHAT_MAX + 1)
    assert (handler.handled[0], handler.told) == (-7, [11])


async def test_answers_behind_a_chats_own_messages_are_measured_apart(pool: Any) -> None:
    async def call(*_: Any) -> None:
        """Telegram."""

    async def act(_: StoredUpdate) -> None:
        await AnswerTimes()(cast(Any, call), cast(Any, None), cast(Any, None))

    def measured() -> list[float]:
        name = "neurocards_update_answer_seconds_count"
        return [REGISTRY.get_sample_value(name, {"behind": of}) or 0 for of in ("nobody", "own")]

    nobody, own = measured()
    inbox, handler = FilledInbox(pool), Recorder(act)
    await inbox.store([update(1, 5), update(2, 5), update(3, 5), update(4, 6)])
    async with running(inbox, handler):
        await eventually(lambda: len(handler.handled) == 4)
    assert measured() == [nobody + 2, own + 2]
