"""Errors sorted, and apologies in the person's language, also when no database can be asked."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from aiogram.exceptions import TelegramForbiddenError, TelegramNetworkError, TelegramUnauthorizedError
from aiogram.methods import SendMessage
from redis.exceptions import ConnectionError as RedisConnectionError

from ledger.errors import InsufficientCreditsError, LedgerBusyError, UnreadableAccountError
from services.bot.inbox import StoredUpdate
from services.bot.update_handler import HandlerTimeoutError, UpdateHandler
from tests.support.bot_session import TEXTS, recorded_bot
from tests.support.each import each

CALL = SendMessage(chat_id=5, text="x")


def stored(language: str | None = "en") -> StoredUpdate:
    sender = {"id": 5, "is_bot": False, "first_name": "A", "language_code": language}
    chat = {"id": 5, "type": "private"}
    message = {"message_id": 1, "date": 1, "chat": chat, "from": sender, "text": "x"}
    return StoredUpdate(1, 5, 5, json.dumps({"update_id": 1, "message": message}))


class Dispatcher:
    def __init__(self, error: Exception | None = None, *, hang: bool = False) -> None:
        self.error = error
        self.hang = hang

    async def feed_update(self, bot: Any, update: Any, **data: Any) -> None:
        if self.hang:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


def handler(dispatcher: Any = None) -> tuple[UpdateHandler, Any]:
    bot, session = recorded_bot()
    dispatcher = dispatcher if dispatcher is not None else Dispatcher()
    return UpdateHandler(bot, dispatcher, TEXTS), session


@each(
    ("error", "transient"),
    [
        (RedisConnectionError(), True),
        (LedgerBusyError(), True),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.CannotConnectNowError(), True),
        (TelegramNetworkError(method=CALL, message="x"), True),
        (TelegramUnauthorizedError(method=CALL, message="Unauthorized"), True),
        (asyncpg.exceptions._base.DataError("invalid input for query argument"), False),
        (asyncpg.UndefinedTableError(), False),
        (InsufficientCreditsError(0, 1), False),
        (HandlerTimeoutError(), False),
        (KeyError(), False),
    ],
)
def test_what_passes_by_itself(error: Exception, transient: bool) -> None:
    assert handler()[0].is_transient(error, 0.0) is transient


def test_what_a_newer_version_wrote_is_waited_for_as_long_as_an_upgrade_takes() -> None:
    error = UnreadableAccountError("account a cannot be read: unknown event type")
    assert [handler()[0].is_transient(error, waited_s) for waited_s in (0.0, 599.0, 600.0)] == [
        True, True, False,
    ]  # fmt: skip


async def test_someone_who_blocked_the_bot_counts_as_answered() -> None:
    blocked = TelegramForbiddenError(method=CALL, message="Forbidden: bot was blocked by the user")
    await handler(Dispatcher(blocked))[0].handle(stored())


async def test_a_hung_handler_is_a_failure_and_not_trouble_that_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.bot.update_handler.HANDLE_TIMEOUT_S", 0.01)
    with pytest.raises(HandlerTimeoutError):
        await handler(Dispatcher(hang=True))[0].handle(stored())
    with pytest.raises(TimeoutError):
        await handler(Dispatcher(TimeoutError()))[0].handle(stored())


@each(
    ("code", "words"),
    [("en", "technical hitch"), (None, "технический сбой"), ("ru", "технический сбой")],
)
async def test_apologies_in_the_persons_language(code: str | None, words: str) -> None:
    bot_handler, session = handler()
    await bot_handler.waits(stored(code), RedisConnectionError())
    assert words in session.calls[0].text
    await bot_handler.failed(stored(code), KeyError())
    assert len(session.calls) == 2
    await bot_handler.waits(stored(code), TelegramNetworkError(method=CALL, message="x"))
    assert len(session.calls) == 2, "when Telegram is away nothing can be said"
