"""The protocol itself: how calls may be sent, tokens, the envelope, flood limits, faults, markdown."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiogram import Bot
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.methods import GetMe
from aiogram.types import BufferedInputFile

from services.sandbox.faults import FAULT_NAMES
from services.sandbox.knobs import change_knobs
from services.sandbox.telegram.service import METHODS
from tests.support.each import each
from tests.unit.services.sandbox.telegram.conftest import Sandbox


@dataclass
class Listed:
    name: str
    args: Mapping[str, Any] = field(default_factory=dict)


async def test_get_urlencoded_json_and_multipart_mean_the_same(sandbox: Sandbox) -> None:
    await sandbox.says(5, "hi")
    url = f"{sandbox.api}/sendMessage"
    markup = {"inline_keyboard": [[{"text": "Да", "callback_data": "yes"}]]}
    flat = {"chat_id": "5", "text": "ё", "reply_markup": json.dumps(markup)}
    parts = aiohttp.FormData(flat)
    parts.add_field("unused", b"x", filename="x.bin")
    calls = [
        sandbox.http.get(url, params=flat),
        sandbox.http.post(url, params=flat),
        sandbox.http.post(url, data=flat),
        sandbox.http.post(url, json=flat | {"chat_id": 5, "reply_markup": markup}),
        sandbox.http.post(url, data=parts),
    ]
    for call in calls:
        async with call as response:
            envelope = await response.json()
        assert envelope["ok"], envelope
        assert envelope["result"]["text"] == "ё"
        assert envelope["result"]["reply_markup"] == markup


async def test_keys_come_in_the_server_s_order(sandbox: Sandbox) -> None:
    await sandbox.says(5, "hi")
    sent = (await sandbox.call("sendMessage", chat_id=5, text="#x"))["result"]
    assert list(sent) == ["message_id", "from", "chat", "date", "text", "entities"]
    assert list(sent["entities"][0]) == ["offset", "length", "type"]


async def test_methods_are_named_in_any_case_and_unknown_ones_refused(sandbox: Sandbox, bot: Bot) -> None:
    assert (await sandbox.call("GETME"))["result"]["is_bot"] is True
    assert await sandbox.call("sendLove", 404) == {
        "ok": False,
        "error_code": 404,
        "description": "Not Found: method not found",
    }
    async with sandbox.http.get(f"{sandbox.ctx.base_url}/telegram/nowhere") as response:
        assert (await response.json())["description"] == "Not Found"


@each(
    ("token", "description"),
    [("222222:other", "Unauthorized"), ("nonsense", "Unauthorized: invalid token specified")],
)
async def test_other_tokens_are_refused(sandbox: Sandbox, token: str, description: str) -> None:
    url = f"{sandbox.ctx.base_url}/telegram/bot{token}/getMe"
    async with sandbox.http.get(url) as response:
        assert response.status == 401
        assert (await response.json())["description"] == description


async def test_aiogram_knows_our_refusals_by_their_types(sandbox: Sandbox, bot: Bot) -> None:
    broken = Bot("222222:other", session=bot.session)
    with pytest.raises(TelegramUnauthorizedError):
        await broken.get_me()
    with pytest.raises(TelegramBadRequest, match="chat_id is empty"):
        await bot.send_message("", "x")
    with pytest.raises(TelegramNotFound):
        await bot(_Unknown())


class _Unknown(GetMe):
    __api_method__ = "sendLove"


@each(
    ("body", "kind"),
    [(b"{", "application/json"), (b"[1]", "application/json"), (b"x", "multipart/form-data")],
)
async def test_bodies_that_cannot_be_read_are_the_client_s_fault(
    sandbox: Sandbox, body: bytes, kind: str
) -> None:
    headers = {"Content-Type": kind}
    async with sandbox.http.post(f"{sandbox.api}/sendMessage", data=body, headers=headers) as response:
        assert response.status == 400 and (await response.json())["ok"] is False


async def test_a_flood_to_one_chat_is_held_back(sandbox: Sandbox, bot: Bot) -> None:
    change_knobs(sandbox.ctx, {"telegram_chat_rate": 0.5, "telegram_chat_burst": 2})
    await sandbox.says(5, "hi")
    await sandbox.says(6, "hi")
    await bot.send_message(5, "1")
    await bot.send_message(5, "2")
    with pytest.raises(TelegramRetryAfter) as refused:
        await bot.send_message(5, "3")
    assert refused.value.retry_after == 2
    await bot.send_message(6, "other chats are free")
    sandbox.clock.advance(2)
    await bot.send_message(5, "3")


@pytest.mark.parametrize(
    ("fault", "error", "delivered"),
    [
        (Listed("429", {"retry_after": 7}), TelegramRetryAfter, 0),
        (Listed("500"), TelegramServerError, 0),
        (Listed("html_502"), ClientDecodeError, 0),
        (Listed("blocked"), TelegramForbiddenError, 0),
        (Listed("drop_before"), TelegramNetworkError, 0),
        (Listed("drop_after"), TelegramNetworkError, 1),
        (Listed("hang", {"seconds": 0.1}), TelegramNetworkError, 0),
        (Listed("hang_after", {"seconds": 0.1}), TelegramNetworkError, 1),
    ],
)
async def test_faults_are_what_they_are_called(
    sandbox: Sandbox, bot: Bot, fault: Listed, error: type[Exception], delivered: int
) -> None:
    await sandbox.says(5, "hi")
    sandbox.faults.next["sendMessage"] = fault
    with pytest.raises(error):
        await bot.send_message(5, "text to match")
    assert sandbox.faults.seen[-1] == ("telegram", "sendMessage", {"chat": "5", "text": "text to match"})
    assert len((await sandbox.sees(5))["messages"]) == 1 + delivered


def test_every_fault_belongs_to_a_method_there_is() -> None:
    assert set(FAULT_NAMES["telegram"]) - {"file"} <= {name for name, _ in METHODS.values()}


async def test_a_hanging_call_outlasts_the_client(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.faults.next["getMe"] = Listed("hang")
    with pytest.raises(TelegramNetworkError, match="Request timeout error"):
        await bot.get_me(request_timeout=1)


async def test_a_video_may_come_out_as_an_animation(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sandbox.faults.next["sendVideo"] = Listed("as_animation")
    sent = await bot.send_video(5, BufferedInputFile(b"\0\0\0\x18ftypmp42", "a.mp4"), caption="x")
    assert sent.video is None and sent.animation and sent.document and sent.caption == "x"
    assert sent.animation.file_id == sent.document.file_id


async def test_a_download_can_fail_too(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.faults.next["file"] = Listed("html_502")
    async with sandbox.http.get(f"{sandbox.ctx.base_url}/telegram/file/bot111111:sandbox/x/y") as response:
        assert response.status == 502
    async with sandbox.http.get(f"{sandbox.ctx.base_url}/telegram/file/bot111111:sandbox/x/y") as response:
        assert response.status == 404
    url = f"{sandbox.ctx.base_url}/telegram/file/bot111111:sandbox/%2e%2e/%2e%2e/etc/passwd"
    async with sandbox.http.get(url) as response:
        assert response.status == 404


@each(
    ("mode", "source", "text", "entities"),
    [
        ("MarkdownV2", "*жир _и_* \\.", "жир и .", [("bold", 0, 5), ("italic", 4, 1)]),
        ("MarkdownV2", "__a__ ~b~ ||c||", "a b c",
         [("underline", 0, 1), ("strikethrough", 2, 1), ("spoiler", 4, 1)]),
        ("MarkdownV2", "`x` ```py\nprint()```", "x print()", [("code", 0, 1), ("pre", 2, 7)]),
        ("MarkdownV2", "😀 [тут](http://a.b/c)", "😀 тут", [("text_link", 3, 3)]),
        ("MarkdownV2", ">a\n>b\nc", "a\nb\nc", [("blockquote", 0, 3)]),
        ("HTML", "<pre><code class='language-py'>x</code></pre>", "x", [("pre", 0, 1)]),
        ("HTML", "  <b> x </b>  ", "x", [("bold", 0, 1)]),
        ("HTML", "<a href='http://a.b'>q</a> &#128512;&unknown;", "q 😀&unknown;", [("text_link", 0, 1)]),
        ("", "мой t@x.io https://a.b/c, @name /go", "мой t@x.io https://a.b/c, @name /go",
         [("email", 4, 6), ("url", 11, 13), ("mention", 26, 5), ("bot_command", 32, 3)]),
    ],
)  # fmt: skip
async def test_marked_up_text(
    sandbox: Sandbox, mode: str, source: str, text: str, entities: list[tuple[str, int, int]]
) -> None:
    await sandbox.says(5, "hi")
    sent = (await sandbox.call("sendMessage", chat_id=5, text=source, parse_mode=mode))["result"]
    assert sent["text"] == text
    assert [(e["type"], e["offset"], e["length"]) for e in sent["entities"]] == entities


@each(
    ("source", "complaint"),
    [
        ("1.5", "Character '.' is reserved and must be escaped with the preceding '\\'"),
        ("я *b", "Can't find end of Bold entity at byte offset 3"),
    ],
)
async def test_markdown_that_does_not_parse(sandbox: Sandbox, source: str, complaint: str) -> None:
    await sandbox.says(5, "hi")
    envelope = await sandbox.call("sendMessage", 400, chat_id=5, text=source, parse_mode="MarkdownV2")
    assert envelope["description"] == f"Bad Request: can't parse entities: {complaint}"


async def test_the_page_and_its_files_come_from_here_alone(sandbox: Sandbox) -> None:
    async with sandbox.http.get(f"{sandbox.ctx.base_url}/?user=5") as response:
        page = await response.text()
        assert response.status == 200 and response.content_type == "text/html"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "http://" not in page and "https://" not in page
    async with sandbox.http.get(f"{sandbox.ctx.base_url}/assets/../api.py") as response:
        assert response.status == 404


async def test_messages_are_waited_for(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    after = (await sandbox.sees(5))["next"]
    waiting = asyncio.create_task(sandbox.sees(5, after, timeout=20))
    await asyncio.sleep(0)
    await bot.send_message(5, "news")
    async with asyncio.timeout(60):
        assert [m["text"] for m in (await waiting)["messages"]] == ["news"]
