"""Polling: confirmed only once stored; every answer of Telegram leads on, or ends the process."""

import asyncio
from typing import Any

import pytest
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramConflictError,
    TelegramNetworkError,
    TelegramUnauthorizedError,
)
from aiogram.methods import DeleteWebhook, SendMessage

from services.adapters.telegram.updates import whose
from services.bot.metrics import DROPPED
from services.bot.polling import GetRawUpdates, Polling
from services.platform.errors import StartError
from tests.support.bot_session import recorded_bot
from tests.support.each import each

CALL = SendMessage(chat_id=5, text="x")


class MemoryInbox:
    """Keeps updates; the errors in `fail` come first. Stops the polling when `enough` are there."""

    def __init__(self, stop: asyncio.Event, enough: int) -> None:
        self.kept: list[int] = []
        self.fail: list[Exception] = []
        self._stop = stop
        self._enough = enough

    async def store(self, updates: list[dict[str, Any]]) -> None:
        if updates and self.fail:
            raise self.fail.pop(0)
        self.kept += [update["update_id"] for update in updates]
        if len(self.kept) >= self._enough:
            self._stop.set()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_wait(stopped: Any, seconds: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr("services.bot.polling._wait", no_wait)


async def poll(*answers: Any, enough: int = 1, fail: list[Exception] | None = None) -> tuple[Any, Any]:
    bot, session = recorded_bot()
    session.answers += answers
    stop = asyncio.Event()
    inbox: Any = MemoryInbox(stop, enough)
    inbox.fail = fail or []
    async with asyncio.timeout(60):
        await Polling(bot, inbox.store, ["message"]).run(stop)
    return session, inbox


async def test_the_offset_moves_only_when_updates_are_stored() -> None:
    batch = [{"update_id": 7}, {"update_id": 9}]
    session, inbox = await poll(batch, batch, [{"update_id": 10}], enough=3, fail=[ConnectionResetError()])
    assert inbox.kept == [7, 9, 10]
    assert [call.offset for call in session.of(GetRawUpdates)] == [None, None, 10]


async def test_trouble_passes() -> None:
    trouble = [
        TelegramNetworkError(method=CALL, message="away"),
        ClientDecodeError("x", ValueError(), "<html>502</html>"),
        TelegramConflictError(method=CALL, message="Conflict: terminated by other getUpdates request"),
    ]
    _, inbox = await poll(*trouble, [{"update_id": 1}])
    assert inbox.kept == [1]


async def test_a_left_over_webhook_is_removed_without_losing_updates() -> None:
    conflict = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook"
    session, _ = await poll(TelegramConflictError(method=CALL, message=conflict), True, [{"update_id": 1}])
    assert session.of(DeleteWebhook)[0].drop_pending_updates is False


async def test_a_wrong_token_ends_the_process_and_names_the_variable() -> None:
    with pytest.raises(StartError, match="BOT_TOKEN"):
        await poll(TelegramUnauthorizedError(method=CALL, message="Unauthorized"))


async def test_what_is_no_update_is_left_out() -> None:
    before = DROPPED.labels("unknown", "malformed")._value.get()
    _, inbox = await poll([{"update_id": "x"}, {"update_id": 2**70}, {}, {"update_id": 3}])
    assert inbox.kept == [3]
    assert DROPPED.labels("unknown", "malformed")._value.get() == before + 3, "and said"


@each(
    ("event", "found"),
    [
        ({"message": {"from": {"id": 5}, "chat": {"id": 5, "type": "private"}}}, (5, 5)),
        ({"message": {"from": {"id": 5}, "chat": {"id": -9, "type": "supergroup"}}}, (-9, 5)),
        ({"callback_query": {"from": {"id": 5}, "message": {"chat": {"id": 6, "type": "private"}}}}, (5, 5)),
        ({"callback_query": {"from": {"id": 5}}}, (5, 5)),
        ({"channel_post": {"chat": {"id": -9, "type": "channel"}}}, (-9, None)),
        ({"message": {"from": {"id": "x"}, "chat": [1]}}, (0, None)),
        ({"poll": 3}, (0, None)),
    ],
)
def test_whose_an_update_is(event: dict[str, Any], found: tuple[int, int | None]) -> None:
    assert whose({"update_id": 1, **event}) == found
