"""Webhook delivery: settings, retries with back-off, order within a chat kept."""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog

from services.sandbox.app import Context
from services.sandbox.telegram.calls import Call, bad_request, too_many_requests
from services.sandbox.telegram.updates import UpdateQueue

log = structlog.get_logger()

_KIND = "telegram_webhook"
_KEY = "current"
SECRET_LENGTH_MAX = 256
_SECRET = re.compile(r"[A-Za-z0-9_-]*")
_PAUSE_FIRST_S = 1.0
_PAUSE_MAX_S = 60.0
_RETRY_AFTER_MAX_S = 3600.0
_CONNECTIONS_DEFAULT = 40
_ANSWER_MAX_BYTES = 1024 * 1024
_IDLE_S = 3600.0

# Executes a method that the webhook's answer named: Bot API "making requests when getting updates".
Execute = Callable[[Call], Awaitable[Any]]


def is_local(url: str) -> bool:
    """Whether an address is local or private, where plain HTTP is fine."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and "." not in host  # localhost, or a service's name under compose
    return address.is_loopback or address.is_private


class Webhooks:
    def __init__(self, ctx: Context, updates: UpdateQueue, execute: Execute) -> None:
        self._ctx = ctx
        self._updates = updates
        self._execute = execute
        self._busy_chats: set[int] = set()
        self._paused_until: dict[int, float] = {}
        self._pause_s: dict[int, float] = {}
        self._changed_at: float | None = None
        ctx.on_start(self._start)

    async def _start(self) -> None:
        self._ctx.spawn(self._run(), "telegram_webhooks")

    # Settings

    def current(self) -> dict[str, Any]:
        return self._ctx.store.get(_KIND, _KEY) or {"url": ""}

    def set(self, call: Call) -> str:
        """setWebhook or deleteWebhook; returns the sentence that goes with `true`."""
        url = call.text("url").strip()
        secret = call.text("secret_token")
        _check(url, secret)
        if call.flag("drop_pending_updates"):
            self._updates.clear()
        before = self.current()
        if not url:
            if not before["url"]:
                return "Webhook is already deleted"
            self._limit_rate()
            self._ctx.store.delete(_KIND, _KEY)
            return "Webhook was deleted"
        self._updates.allow(call.structure("allowed_updates", "can't parse allowed updates"))
        doc = {
            "url": url,
            "secret": secret,
            "max_connections": call.integer("max_connections", _CONNECTIONS_DEFAULT, low=1, high=100),
            "ip_address": call.text("ip_address") or "127.0.0.1",
        }
        if all(before.get(key) == value for key, value in doc.items()):
            return "Webhook is already set"
        self._limit_rate()
        self._ctx.store.put(_KIND, _KEY, doc)
        self._paused_until.clear()
        self._pause_s.clear()
        self._updates.interrupt_poller("terminated by setWebhook request")
        return "Webhook was set"

    def _limit_rate(self) -> None:
        now = self._ctx.clock.now()
        if self._changed_at is not None and now - self._changed_at < 1:
            raise too_many_requests(1)
        self._changed_at = now

    def info(self) -> dict[str, Any]:
        doc = self.current()
        answer: dict[str, Any] = {"url": doc["url"], "has_custom_certificate": False}
        answer["pending_update_count"] = self._updates.count()
        if not doc["url"]:
            return answer
        answer |= {key: doc[key] for key in ("last_error_date", "last_error_message") if key in doc}
        answer |= {"max_connections": doc["max_connections"], "ip_address": doc["ip_address"]}
        if allowed := self._updates.allowed():
            answer["allowed_updates"] = allowed
        return answer

    # Delivery

    async def _run(self) -> None:
        while True:
            pause_s = self._deliver_due()
            await self._updates.arrived.wait(pause_s)

    def _deliver_due(self) -> float:
        """Start due deliveries; returns seconds until the next can be due."""
        doc = self.current()
        if not doc["url"]:
            return _IDLE_S
        now = time.monotonic()
        next_due_s = _IDLE_S
        looked_at: set[int] = set()
        for update_id, entry in self._updates.pending():
            chat_id = entry["chat_id"]
            if len(self._busy_chats) >= doc["max_connections"]:
                break
            if chat_id in looked_at or chat_id in self._busy_chats:
                continue
            looked_at.add(chat_id)
            wait_s = self._paused_until.get(chat_id, 0.0) - now
            if wait_s > 0:
                next_due_s = min(next_due_s, wait_s)
            else:
                self._busy_chats.add(chat_id)
                self._ctx.spawn(self._deliver(doc, update_id, entry), f"telegram_webhook_{update_id}")
        return next_due_s

    async def _deliver(self, doc: dict[str, Any], update_id: int, entry: dict[str, Any]) -> None:
        chat_id = entry["chat_id"]
        try:
            problem, retry_after_s, answer = await self._post(doc, entry["update"])
            if problem is None:
                self._updates.remove(update_id)
                self._pause_s.pop(chat_id, None)
            else:
                self._failed(chat_id, problem, retry_after_s)
        finally:
            self._busy_chats.discard(chat_id)
            self._updates.arrived.notify()
        if problem is None:
            await self._follow(answer)

    async def _post(self, doc: dict[str, Any], update: dict[str, Any]) -> tuple[str | None, float, bytes]:
        headers = {"Content-Type": "application/json"}
        if doc["secret"]:
            headers["X-Telegram-Bot-Api-Secret-Token"] = doc["secret"]
        try:
            body = json.dumps(update).encode()
            async with self._ctx.http().post(doc["url"], data=body, headers=headers) as response:
                answer = await response.content.read(_ANSWER_MAX_BYTES)
                if 200 <= response.status < 300:
                    return None, 0.0, answer
                after = response.headers.get("Retry-After", "")
                retry_after_s = min(float(after), _RETRY_AFTER_MAX_S) if after.isdigit() else 0.0
                reason = f"Wrong response from the webhook: {response.status} {response.reason}"
                return reason, retry_after_s, b""
        except TimeoutError:
            return "Read timeout expired", 0.0, b""
        except aiohttp.ClientError as error:
            return f"Connection failed: {type(error).__name__}", 0.0, b""

    def _failed(self, chat_id: int, problem: str, retry_after_s: float) -> None:
        pause_s = min(_PAUSE_MAX_S, self._pause_s.get(chat_id, _PAUSE_FIRST_S / 2) * 2)
        self._pause_s[chat_id] = pause_s
        self._paused_until[chat_id] = time.monotonic() + (retry_after_s or pause_s)
        doc = self.current()
        if doc["url"]:
            error = {"last_error_date": int(self._ctx.clock.now()), "last_error_message": problem}
            self._ctx.store.put(_KIND, _KEY, doc | error)
        log.info("telegram_webhook_failed", problem=problem, retry_in_s=retry_after_s or pause_s)

    async def _follow(self, answer: bytes) -> None:
        try:
            values = json.loads(answer)
        except ValueError:
            return  # any 2xx body will do; only JSON with "method" asks for something
        if isinstance(values, dict) and isinstance(method := values.pop("method", None), str):
            await self._execute(Call(method, values))


def _check(url: str, secret: str) -> None:
    if len(secret) > SECRET_LENGTH_MAX:
        raise bad_request("secret token is too long")
    if not _SECRET.fullmatch(secret):
        raise bad_request("secret token contains unallowed characters")
    if not url:
        return
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise bad_request("invalid webhook URL specified")
    if parts.scheme == "http" and not is_local(url):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
