"""getUpdates: offsets that confirm, long polls, rivals; who gets which kinds."""

import asyncio
from typing import Any

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramConflictError

from services.sandbox import telegram
from tests.support.waiting import eventually
from tests.unit.services.sandbox.telegram.conftest import Sandbox


async def ids(sandbox: Sandbox, **params: Any) -> list[int]:
    return [update["update_id"] for update in (await sandbox.call("getUpdates", **params))["result"]]


async def test_updates_stay_until_an_offset_confirms_them(sandbox: Sandbox) -> None:
    for text in "abc":
        await sandbox.says(5, text)
    first, second, third = await ids(sandbox)
    assert await ids(sandbox) == [first, second, third]
    assert await ids(sandbox, limit=2) == [first, second]
    assert await ids(sandbox, offset=second) == [second, third]
    assert await ids(sandbox) == [second, third]
    assert await ids(sandbox, offset=third + 1) == []
    assert await ids(sandbox) == []


async def test_a_negative_offset_keeps_the_tail_only(sandbox: Sandbox) -> None:
    for text in "abc":
        await sandbox.says(5, text)
    everything = await ids(sandbox)
    assert await ids(sandbox, offset=-2) == everything[1:]
    assert await ids(sandbox) == everything[1:]
    assert await ids(sandbox, offset=-100) == everything[1:]


async def test_an_offset_from_another_life_confirms_nothing(sandbox: Sandbox) -> None:
    await sandbox.says(5, "a")
    [only] = await ids(sandbox)
    assert await ids(sandbox, offset=only + 1_000_000) == [only]


async def test_a_long_poll_answers_when_something_comes(sandbox: Sandbox) -> None:
    polling = asyncio.create_task(ids(sandbox, timeout=20))
    await eventually(lambda: sandbox.faults.seen)
    await sandbox.says(5, "a")
    async with asyncio.timeout(60):
        assert len(await polling) == 1


async def test_a_long_poll_ends_empty(sandbox: Sandbox) -> None:
    async with asyncio.timeout(60):
        assert await ids(sandbox, timeout=1) == []


async def test_the_older_of_two_pollers_is_told_of_the_conflict(sandbox: Sandbox, bot: Bot) -> None:
    older = asyncio.create_task(bot.get_updates(timeout=20))
    await eventually(lambda: len(sandbox.faults.seen) == 1)
    newer = asyncio.create_task(bot.get_updates(timeout=20))
    with pytest.raises(TelegramConflictError, match="terminated by other getUpdates request; make sure"):
        await older
    await sandbox.says(5, "a")
    assert len(await newer) == 1


async def test_only_kinds_asked_for_are_queued_from_then_on(sandbox: Sandbox) -> None:
    await sandbox.says(5, "a")
    assert len(await ids(sandbox, allowed_updates=["callback_query"])) == 1
    await sandbox.says(5, "b")
    assert len(await ids(sandbox)) == 1
    await ids(sandbox, allowed_updates=[])
    await sandbox.says(5, "c")
    assert len(await ids(sandbox)) == 2


async def test_updates_are_forgotten_after_a_day(sandbox: Sandbox) -> None:
    await sandbox.says(5, "a")
    sandbox.clock.advance(12 * 3600)
    await sandbox.says(5, "b")
    sandbox.clock.advance(12 * 3600 + 1)
    assert len(await ids(sandbox)) == 1


async def test_ids_go_on_after_everything_was_confirmed(sandbox: Sandbox) -> None:
    await sandbox.says(5, "a")
    [first] = await ids(sandbox)
    await ids(sandbox, offset=first + 1)
    await sandbox.says(5, "b")
    assert await ids(sandbox) == [first + 1]
    assert telegram.of(sandbox.ctx).updates.count() == 1
