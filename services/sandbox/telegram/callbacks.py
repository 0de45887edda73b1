"""Taps on inline buttons: the query goes to the bot, one answer in time comes back to the person."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from services.sandbox.app import Context
from services.sandbox.telegram.errors import bad_request
from services.sandbox.telegram.updates import UpdateQueue
from services.sandbox.telegram.wire import Call
from services.sandbox.telegram.world import Signal, World

CALLBACK_KIND = "telegram_callback"
LIFETIME_S = 60.0
_FIRST_ID = 21_474_836_480_000_001
_KEPT_MAX = 10_000
TOO_OLD = "query is too old and response timeout expired or query ID is invalid"


class Callbacks:
    """Queries by id. One can be answered once, and only while the person's client still waits."""

    def __init__(self, ctx: Context, world: World, updates: UpdateQueue) -> None:
        self._clock = ctx.clock
        self._store = ctx.store
        self._world = world
        self._updates = updates
        self._answered = Signal()

    def press(self, user_id: int, record: dict[str, Any], data: str) -> str:
        """A person taps a button with `data` on a message; returns the query's id."""
        number = self._store.next_id("telegram_callback", _FIRST_ID)
        message = record["message"]
        if record.get("deleted"):
            message = {"message_id": message["message_id"], "chat": message["chat"], "date": 0}
        query = {
            "id": str(number),
            "from": self._world.user(user_id),
            "message": message,
            "chat_instance": _chat_instance(record["chat_id"]),
            "data": data,
        }
        doc = {"user_id": user_id, "at": self._clock.now(), "answer": None}
        with self._store.batch():
            self._store.put(CALLBACK_KIND, str(number), doc)
            self._store.delete(CALLBACK_KIND, str(number - _KEPT_MAX))
            self._updates.push("callback_query", query, user_id)
        return str(number)

    def answer(self, call: Call) -> bool:
        """What answerCallbackQuery does. Raises BotApiError 400 when it is too late or not the first."""
        query_id = call.text("callback_query_id")
        doc = self._store.get(CALLBACK_KIND, query_id)
        if doc is None or doc["answer"] is not None or self._clock.now() - doc["at"] > LIFETIME_S:
            raise bad_request(TOO_OLD)
        text = call.text("text")
        if len(text) > 200:
            raise bad_request("MESSAGE_TOO_LONG")
        answer = {"text": text, "show_alert": call.flag("show_alert"), "url": call.text("url")}
        self._store.put(CALLBACK_KIND, query_id, doc | {"answer": answer})
        self._world.notice(doc["user_id"], "callback_answer", callback_query_id=query_id, **answer)
        self._answered.notify()
        return True

    async def answered(self, query_id: str, timeout_s: float) -> dict[str, Any] | None:
        """The bot's answer (`text`, `show_alert`, `url`), waiting for it; None when there is none in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            doc = self._store.get(CALLBACK_KIND, query_id)
            answer: dict[str, Any] | None = doc and doc["answer"]
            left_s = deadline - time.monotonic()
            if answer is not None or left_s <= 0:
                return answer
            await self._answered.wait(left_s)


def _chat_instance(chat_id: int) -> str:
    """A number that stands for the chat, the same for ever."""
    digest = hashlib.sha256(f"chat:{chat_id}".encode()).digest()
    return str(int.from_bytes(digest[:8], "big", signed=True))
