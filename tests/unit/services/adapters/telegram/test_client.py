"""How Telegram's answers are read: what is done already, what passes, what is final."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.methods import SendMessage
from aiogram.types import File

from services.adapters.telegram.client import (
    FileTooLargeError,
    FileUnavailableError,
    answer_tap,
    download,
    edit_buttons,
    edit_text,
    is_chat_gone,
    is_transient,
    loads,
)
from tests.support.bot_session import RecordedSession, recorded_bot
from tests.support.each import each

CALL = SendMessage(chat_id=5, text="x")


def bad(message: str) -> TelegramBadRequest:
    return TelegramBadRequest(method=CALL, message=f"Bad Request: {message}")


@each(
    ("error", "transient", "gone"),
    [
        (TelegramNetworkError(method=CALL, message="x"), True, False),
        (TelegramServerError(method=CALL, message="x"), True, False),
        (TelegramRetryAfter(method=CALL, message="x", retry_after=3), True, False),
        (ClientDecodeError("x", ValueError(), "<html>"), True, False),
        (aiohttp.ClientConnectionError(), True, False),
        (TelegramEntityTooLarge(method=CALL, message="x"), False, False),
        (TelegramForbiddenError(method=CALL, message="Forbidden: bot was blocked by the user"), False, True),
        (bad("chat not found"), False, True),
        (bad("message text is empty"), False, False),
        (ValueError(), False, False),
    ],
)
def test_errors_are_told_apart(error: Exception, transient: bool, gone: bool) -> None:
    assert (is_transient(error), is_chat_gone(error)) == (transient, gone)


@each(
    ("answer", "shown"),
    [
        (True, True),
        (bad("message is not modified: specified new message content and reply markup are exactly"), True),
        (bad("message to edit not found"), False),
        (bad("message can't be edited"), False),
        (bad("there is no text in the message to edit"), False),
    ],
)
async def test_edits(answer: Any, shown: bool) -> None:
    bot, session = recorded_bot()
    session.answers.append(answer)
    assert await edit_text(bot, 5, 7, "text") is shown
    session.answers.append(answer)
    assert await edit_buttons(bot, 5, 7) is shown


async def test_an_edit_that_is_our_fault_is_raised() -> None:
    bot, session = recorded_bot()
    session.answers.append(bad("can't parse entities"))
    with pytest.raises(TelegramBadRequest):
        await edit_text(bot, 5, 7, "<b")


async def test_a_tap_is_answered_in_time_or_not() -> None:
    bot, session = recorded_bot()
    assert await answer_tap(bot, "q", "x" * 300)
    assert len(session.calls[0].text) == 200  # type: ignore[attr-defined]
    session.answers.append(bad("query is too old and response timeout expired or query ID is invalid"))
    assert not await answer_tap(bot, "q")


async def test_a_flood_is_waited_out_within_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    bot, session = recorded_bot(flood_patience_s=10)
    session.answers += [TelegramRetryAfter(method=CALL, message="x", retry_after=s) for s in (4, 5)]
    await bot.send_message(5, "x")
    assert waits == [4, 5]
    session.answers += [TelegramRetryAfter(method=CALL, message="x", retry_after=s) for s in (4, 7)]
    with pytest.raises(TelegramRetryAfter):
        await bot.send_message(5, "x")
    assert waits == [4, 5, 4]


def file(size: int | None = None, path: str | None = "photos/a.jpg") -> File:
    return File(file_id="f", file_unique_id="u", file_size=size, file_path=path)


async def fetched(session_and_bot: tuple[Any, RecordedSession], answer: Any, *chunks: bytes) -> bytes:
    bot, session = session_and_bot
    session.answers.append(answer)
    session.chunks = list(chunks)
    return await download(bot, "f", size_bytes_max=10)


async def test_downloads() -> None:
    session = recorded_bot()
    assert await fetched(session, file(4), b"ab", b"cd") == b"abcd"
    for answer, chunks in ((bad("file is too big"), ()), (file(11), ()), (file(), (b"123456", b"789012"))):
        with pytest.raises(FileTooLargeError):
            await fetched(session, answer, *chunks)
    for answer in (bad("wrong file_id or the file is temporarily unavailable"), file(path=None)):
        with pytest.raises(FileUnavailableError):
            await fetched(session, answer)


@each(
    ("text", "data"),
    [
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        ('{"a": ["\\ud83d", "b\\u0000c"]}', {"a": ["", "bc"]}),
        ('{"a": "plain", "n": 1}', {"a": "plain", "n": 1}),
    ],
)
def test_texts_nobody_can_store_are_cleaned_when_read(text: str, data: Any) -> None:
    assert loads(text) == data
