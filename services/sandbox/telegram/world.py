"""People and messages of the one bot, kept across restarts.

Only private chats exist, so a chat's id is its person's id, and message ids count over all chats of the bot,
as Telegram does for one account.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from services.sandbox.app import Context

Message = dict[str, Any]
Record = dict[str, Any]
Found = TypeVar("Found")

USER_KIND = "telegram_user"
MESSAGE_KIND = "telegram_message"
# Passing things (typing, a button's answer) are kept only as long as somebody may be looking.
NOTICES_MAX = 50

_NAMES = {"ru": ("Анна", "Борис", "Вера", "Глеб", "Дина"), "en": ("Alice", "Bob", "Carol", "Dave", "Erin")}


class Signal:
    """Wakes all present waiters; later ones wait for the next notification."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def wait(self, timeout_s: float) -> bool:
        """True when notified, False at the timeout."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(timeout_s):
                await waiting
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiting)
        return True

    async def until(self, look: Callable[[], Found], timeout_s: float) -> Found:
        """The first true value of `look`, or its last at the timeout."""
        deadline = time.monotonic() + timeout_s
        while True:
            found, left_s = look(), deadline - time.monotonic()
            if found or left_s <= 0:
                return found
            await self.wait(left_s)


class World:
    """People and messages by id; per chat the order of changes (`seq`)."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._store = ctx.store
        self.bot_id = int(ctx.settings.bot_token.partition(":")[0])
        self._changes: dict[int, dict[int, int]] = {}
        self._notices: dict[int, deque[dict[str, Any]]] = {}
        self._signals: dict[int, Signal] = {}
        records = [record for _, record in self._store.all(MESSAGE_KIND)]
        for record in sorted(records, key=lambda r: int(r["seq"])):
            self._changes.setdefault(record["chat_id"], {})[record["message"]["message_id"]] = record["seq"]

    # People

    def bot_user(self) -> dict[str, Any]:
        return {"id": self.bot_id, "is_bot": True, "first_name": "NeuroCards", "username": "neurocards_bot"}

    def person(self, user_id: int) -> dict[str, Any] | None:
        """A person's record: `user` (Bot API), `started`, `blocked`, `deactivated`."""
        return self._store.get(USER_KIND, str(user_id))

    def people(self) -> list[dict[str, Any]]:
        return [record for _, record in self._store.all(USER_KIND)]

    def meet(self, user_id: int, language: str = "") -> dict[str, Any]:
        """The person's record, made at first sight; `language` changes theirs."""
        record = self.person(user_id)
        if record is None:
            names = _NAMES[language or "ru"]
            user = {"id": user_id, "is_bot": False, "first_name": names[user_id % len(names)]}
            user |= {"username": f"seller{user_id}", "language_code": language or "ru"}
            record = {"user": user, "started": False, "blocked": False, "deactivated": False}
        elif language in ("", record["user"]["language_code"]):
            return record
        else:
            record["user"]["language_code"] = language
        self.keep_person(record)
        return record

    def keep_person(self, record: dict[str, Any]) -> None:
        self._store.put(USER_KIND, str(record["user"]["id"]), record)

    def user(self, user_id: int) -> dict[str, Any]:
        user: dict[str, Any] = self.meet(user_id)["user"]
        return user

    def chat(self, user_id: int) -> dict[str, Any]:
        user = self.user(user_id)
        shown: tuple[str, ...] = ("first_name", "last_name", "username")
        return {"id": user_id, **{key: user[key] for key in shown if key in user}, "type": "private"}

    # Messages

    def add(self, chat_id: int, content: Message, *, from_bot: bool) -> Message:
        sender = self.bot_user() if from_bot else self.user(chat_id)
        message: Message = {
            "message_id": self._store.next_id("telegram_message"),
            "from": sender,
            "chat": self.chat(chat_id),
            "date": int(self._ctx.clock.now()),
            **content,
        }
        self.change({"chat_id": chat_id, "from_bot": from_bot, "message": message, "view": {}})
        return message

    def record(self, chat_id: int, message_id: int) -> Record | None:
        """A message with `chat_id`, `from_bot`, `view`, `seq`, `deleted`; None when not in this chat."""
        record = self._store.get(MESSAGE_KIND, str(message_id))
        return record if record is not None and record["chat_id"] == chat_id else None

    def change(self, record: Record) -> None:
        chat_id, message_id = record["chat_id"], record["message"]["message_id"]
        record["seq"] = self._store.next_id("telegram_seq")
        self._store.put(MESSAGE_KIND, str(message_id), record)
        changes = self._changes.setdefault(chat_id, {})
        changes.pop(message_id, None)
        changes[message_id] = record["seq"]
        self._signal(chat_id).notify()

    def empty(self, chat_id: int) -> None:
        """Delete every message of the chat."""
        for message_id in list(self._changes.get(chat_id, ())):
            record = self.record(chat_id, message_id)
            if record is not None and not record.get("deleted"):
                self.change(record | {"deleted": True})

    # What the person sees

    def notice(self, chat_id: int, kind: str, **details: Any) -> None:
        seq = self._store.next_id("telegram_seq")
        notices = self._notices.setdefault(chat_id, deque(maxlen=NOTICES_MAX))
        notices.append({"seq": seq, "type": kind, **details})
        self._signal(chat_id).notify()

    def since(self, chat_id: int, after: int) -> tuple[list[Message], list[dict[str, Any]], int]:
        """Messages changed after `after` as seen by the person, notices, next `after`."""
        if after > self._store.last_id("telegram_seq"):
            after = 0  # told by a sandbox whose memory is gone; whoever asks starts anew
        recent: list[Message] = []
        latest = after
        for message_id, seq in reversed(self._changes.get(chat_id, {}).items()):
            if seq <= after:
                break
            latest = max(latest, seq)
            record = self._store.get(MESSAGE_KIND, str(message_id))
            if record is not None and not (record.get("deleted") and after == 0):
                recent.append(as_seen(record))
        notices = [notice for notice in self._notices.get(chat_id, ()) if notice["seq"] > after]
        latest = max([latest, *(notice["seq"] for notice in notices)])
        # Who opens the chat is not shown what passed before.
        return recent[::-1], notices if after else [], latest

    async def wait(self, chat_id: int, timeout_s: float) -> None:
        await self._signal(chat_id).wait(timeout_s)

    def _signal(self, chat_id: int) -> Signal:
        return self._signals.setdefault(chat_id, Signal())


def as_seen(record: Record) -> Message:
    """A message for the person's side: Bot API shape plus `seq` and any view."""
    if record.get("deleted"):
        message = record["message"]
        gone = {"message_id": message["message_id"], "chat": message["chat"], "date": 0}
        return {**gone, "deleted": True, "seq": record["seq"]}
    return {**record["message"], **record["view"], "seq": record["seq"]}
