"""The sandboxed Telegram, shared by the Bot API and the people's side."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from services.sandbox.app import Context
from services.sandbox.knobs import knobs
from services.sandbox.telegram.buttons import Callbacks
from services.sandbox.telegram.calls import BotApiError, Call, bad_request, forbidden, too_many_requests
from services.sandbox.telegram.media import Files
from services.sandbox.telegram.payments import Payments
from services.sandbox.telegram.updates import UpdateQueue
from services.sandbox.telegram.webhooks import Webhooks
from services.sandbox.telegram.world import World

_ALL_CHATS = 0
BLOCKED = "bot was blocked by the user"


@dataclass(frozen=True)
class Described:
    """A result that comes with a sentence: `{"ok":true,"result":true,"description":"Webhook was set"}`."""

    result: Any
    description: str


Handler = Callable[["Telegram", Call], Awaitable[Any]]

METHODS: dict[str, tuple[str, Handler]] = {}
"""By name in small letters: the name as it is spelled, and what does it."""


def method(*names: str) -> Callable[[Handler], Handler]:
    """Register a Bot API method under its names; the answer is the call's `result`."""

    def register(handler: Handler) -> Handler:
        for name in names:
            METHODS[name.lower()] = (name, handler)
        return handler

    return register


class Telegram:
    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.store = ctx.store
        self.world = World(ctx)
        self.files = Files(ctx)
        self.updates = UpdateQueue(ctx)
        self.webhooks = Webhooks(ctx, self.updates, self.execute_quietly)
        self.callbacks = Callbacks(ctx, self.world, self.updates)
        self.payments = Payments(ctx, self.world, self.updates)
        self.flood = FloodLimit(ctx)

    async def execute(self, call: Call) -> Any:
        """Run a method. Raises BotApiError, 404 for an unknown one."""
        found = METHODS.get(call.method.lower())
        if found is None:
            raise BotApiError(404, "Not Found: method not found")
        return await found[1](self, call)

    async def execute_quietly(self, call: Call) -> None:
        """Run a webhook answer's call; errors are dropped, as on the real server."""
        try:
            await self.execute(call)
        except BotApiError:
            return

    def target(self, call: Call, name: str = "chat_id") -> int:
        """The chat a call writes to. Raises BotApiError when forbidden or too fast."""
        chat_id = self.known_chat(call, name)
        person = self.world.person(chat_id) or {}
        if person.get("deactivated"):
            raise forbidden("user is deactivated")
        if person.get("blocked"):
            raise forbidden(BLOCKED)
        if not person.get("started"):
            raise forbidden("bot can't initiate conversation with a user")
        self.flood.check(chat_id)
        return chat_id

    def known_chat(self, call: Call, name: str = "chat_id") -> int:
        """The chat a call names. Raises BotApiError 400 when there is none."""
        if not call.has(name):
            raise bad_request(f"{name} is empty")
        chat_id = call.integer(name)
        if self.world.person(chat_id) is None:
            raise bad_request("chat not found")
        return chat_id


def of(ctx: Context) -> Telegram:
    return ctx.part(Telegram, Telegram)


class FloodLimit:
    """A token bucket per chat and one for all; the real limits are not published, so ours are settings."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._levels: dict[int, tuple[float, float]] = {}
        self.refused = 0
        """How often it was too much."""

    def check(self, chat_id: int) -> None:
        """Take one token of each. Raises BotApiError 429 with the seconds until there is one."""
        limits = knobs(self._ctx)
        self._take(_ALL_CHATS, limits.telegram_rate, max(1, int(limits.telegram_rate)))
        self._take(chat_id, limits.telegram_chat_rate, limits.telegram_chat_burst)

    def _take(self, bucket: int, rate: float, burst: int) -> None:
        if rate == 0:
            return
        now = self._ctx.clock.now()
        level, at = self._levels.get(bucket, (float(burst), now))
        level = min(burst, level + (now - at) * rate)
        if level < 1:
            self._levels[bucket] = (level, now)
            self.refused += 1
            raise too_many_requests(max(1, math.ceil((1 - level) / rate)))
        self._levels[bucket] = (level - 1, now)
