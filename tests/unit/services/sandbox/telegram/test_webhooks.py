"""Delivery by webhook: the secret, redelivery, order within a chat, answers that call a method."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramConflictError
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.sandbox.telegram import webhooks
from tests.support.each import each
from tests.support.waiting import eventually
from tests.unit.services.sandbox.telegram.conftest import Sandbox

SECRET = "a-secret_1"


class Receiver:
    """A bot's web server: keeps what it got, answers as told (200 when nothing is)."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.secrets: set[str | None] = set()
        self.answers: list[web.Response] = []
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        self.got.append(await request.json())
        self.secrets.add(request.headers.get("X-Telegram-Bot-Api-Secret-Token"))
        return self.answers.pop(0) if self.answers else web.Response()

    def texts(self) -> list[str]:
        return [update["message"]["text"] for update in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.add_routes([web.post("/hook", receiver.receive)])
    server = TestServer(app)
    await server.start_server()
    receiver.url = str(server.make_url("/hook"))
    yield receiver
    await server.close()


async def test_updates_go_to_the_webhook_with_its_secret(
    sandbox: Sandbox, bot: Bot, receiver: Receiver
) -> None:
    await sandbox.says(5, "before")
    assert (await sandbox.call("setWebhook", url=receiver.url, secret_token=SECRET))["description"] == (
        "Webhook was set"
    )
    await sandbox.says(5, "after")

    await eventually(lambda: receiver.texts() == ["before", "after"])
    assert receiver.secrets == {SECRET}
    await eventually(lambda: _pending(sandbox))
    info = await bot.get_webhook_info()
    assert info.url == receiver.url and info.pending_update_count == 0


async def _pending(sandbox: Sandbox) -> bool:
    return bool((await sandbox.call("getWebhookInfo"))["result"]["pending_update_count"] == 0)


async def test_a_failed_delivery_is_repeated_in_order(
    sandbox: Sandbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_PAUSE_FIRST_S", 0.02)
    receiver.answers = [web.Response(status=500), web.Response(status=502)]
    await sandbox.call("setWebhook", url=receiver.url)
    await sandbox.says(5, "a")
    await sandbox.says(5, "b")

    await eventually(lambda: receiver.texts() == ["a", "a", "a", "b"])
    info = (await sandbox.call("getWebhookInfo"))["result"]
    assert info["last_error_message"] == "Wrong response from the webhook: 502 Bad Gateway"


async def test_one_chat_s_trouble_does_not_stop_another(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=503, headers={"Retry-After": "3600"})]
    await sandbox.call("setWebhook", url=receiver.url)
    await sandbox.says(5, "stuck")
    await eventually(lambda: receiver.texts() == ["stuck"])
    await sandbox.says(6, "flows")
    await eventually(lambda: receiver.texts() == ["stuck", "flows"])


async def test_a_dead_receiver_loses_nothing(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.call("setWebhook", url="http://127.0.0.1:9/hook")
    await sandbox.says(5, "a")
    await eventually(lambda: _failed(sandbox))
    sandbox.clock.advance(1)
    assert (await sandbox.call("deleteWebhook"))["description"] == "Webhook was deleted"
    assert [u.message.text for u in await bot.get_updates() if u.message] == ["a"]


async def _failed(sandbox: Sandbox) -> bool:
    info = (await sandbox.call("getWebhookInfo"))["result"]
    return "Connection failed" in info.get("last_error_message", "")


async def test_the_answer_may_name_a_method(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answers = [web.json_response({"method": "sendMessage", "chat_id": 5, "text": "pong"})]
    await sandbox.call("setWebhook", url=receiver.url)
    await sandbox.says(5, "ping")

    async def seen() -> list[str]:
        return [message["text"] for message in (await sandbox.sees(5))["messages"]]

    await eventually(lambda: _is(seen, ["ping", "pong"]))


async def _is(seen: Any, wanted: list[str]) -> bool:
    return bool(await seen() == wanted)


async def test_polling_and_webhook_exclude_each_other(sandbox: Sandbox, bot: Bot, receiver: Receiver) -> None:
    polling = asyncio.create_task(bot.get_updates(timeout=20))
    await eventually(lambda: sandbox.faults.seen)
    await bot.set_webhook(receiver.url)
    with pytest.raises(TelegramConflictError, match="terminated by setWebhook request"):
        await polling
    with pytest.raises(TelegramConflictError, match="can't use getUpdates method while webhook is active"):
        await bot.get_updates()


async def test_pending_updates_can_be_dropped(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.says(5, "old")
    await sandbox.call("setWebhook", url=receiver.url, drop_pending_updates=True)
    await sandbox.says(5, "new")
    await eventually(lambda: receiver.texts() == ["new"])


async def test_the_words_for_setting_and_removing(sandbox: Sandbox, receiver: Receiver) -> None:
    assert (await sandbox.call("deleteWebhook"))["description"] == "Webhook is already deleted"
    await sandbox.call("setWebhook", url=receiver.url)
    assert (await sandbox.call("setWebhook", url=receiver.url))["description"] == "Webhook is already set"
    limited = await sandbox.call("setWebhook", 429, url=receiver.url + "2")
    assert limited["parameters"] == {"retry_after": 1}


@each(
    ("url", "secret", "complaint"),
    [
        ("ftp://x/y", "", "invalid webhook URL specified"),
        ("http://example.org/hook", "", "bad webhook: An HTTPS URL must be provided for webhook"),
        ("https://example.org/hook", "x" * 257, "secret token is too long"),
        ("https://example.org/hook", "a b", "secret token contains unallowed characters"),
    ],
)
async def test_unusable_webhooks_are_refused(
    sandbox: Sandbox, bot: Bot, url: str, secret: str, complaint: str
) -> None:
    with pytest.raises(TelegramBadRequest) as refused:
        await bot.set_webhook(url, secret_token=secret)
    assert refused.value.message == f"Bad Request: {complaint}"
