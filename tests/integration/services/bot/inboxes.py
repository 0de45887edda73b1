"""An inbox with a handler that notes what it is given."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from services.adapters.telegram.updates import store_updates
from services.bot.inbox import Inbox, InboxRunner, StoredUpdate


def update(update_id: int, chat_id: int = 5, text: str = "hi") -> dict[str, Any]:
    sender = {"id": chat_id, "is_bot": False, "first_name": "A"}
    chat = {"id": chat_id, "type": "private"}
    message = {"message_id": update_id, "date": 0, "chat": chat, "from": sender, "text": text}
    return {"update_id": update_id, "message": message}


class FilledInbox(Inbox):
    """An inbox, and who fills it."""

    async def store(self, updates: list[dict[str, Any]]) -> None:
        await store_updates(self._pool, updates)


class Away(Exception):
    """Stands for trouble of the surroundings."""


class Recorder:
    """A handler that notes what it is given; `act` may raise."""

    def __init__(self, act: Callable[[StoredUpdate], Awaitable[None]] | None = None) -> None:
        self.act = act
        self.handled: list[int] = []
        self.told: list[int] = []
        self.deaf = 0
        """So often telling of a flood fails."""
        self.patience_s = math.inf
        self.waited: list[int] = []
        self.apologised: list[int] = []

    async def handle(self, stored: StoredUpdate) -> None:
        if self.act is not None:
            await self.act(stored)
        self.handled.append(stored.update_id)

    def is_transient(self, error: BaseException, waited_s: float) -> bool:
        return isinstance(error, Away) and waited_s < self.patience_s

    async def flooded(self, stored: StoredUpdate) -> None:
        if self.deaf > 0:
            self.deaf -= 1
            raise Away
        self.told.append(stored.update_id)

    async def waits(self, stored: StoredUpdate, error: BaseException) -> None:
        self.waited.append(stored.update_id)

    async def failed(self, stored: StoredUpdate, error: BaseException) -> None:
        self.apologised.append(stored.update_id)
        raise RuntimeError("the person cannot be reached either")


@asynccontextmanager
async def running(inbox: Inbox, handler: Recorder, **options: Any) -> AsyncIterator[InboxRunner]:
    runner = InboxRunner(inbox, handler, **{"retry_first_s": 0.01} | options)
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    try:
        yield runner
    finally:
        stop.set()
        await task
