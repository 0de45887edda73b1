"""Buttons: checks `reply_markup` as the server does, and makes callback queries."""

from __future__ import annotations

import hashlib
from typing import Any

from services.sandbox.app import Context
from services.sandbox.telegram.calls import BotApiError, Call, bad_request
from services.sandbox.telegram.updates import UpdateQueue
from services.sandbox.telegram.world import Signal, World

Keyboard = dict[str, Any]

CALLBACK_DATA_MAX_BYTES = 64
BUTTONS_MAX = 100
_BROKEN = "can't parse reply keyboard markup JSON object"
CALLBACK_KIND = "telegram_callback"
LIFETIME_S = 60.0
_FIRST_ID = 21_474_836_480_000_001
_KEPT_MAX = 10_000
TOO_OLD = "query is too old and response timeout expired or query ID is invalid"

# Exactly one of these says what an inline button does.
_ACTIONS = (
    "callback_data",
    "url",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
)
_LOOKS = ("style", "icon_custom_emoji_id")


def read_markup(call: Call) -> Keyboard | None:
    """The call's inline keyboard. Raises BotApiError 400 with the server's sentence when it is not usable."""
    raw = call.structure("reply_markup", _BROKEN)
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise bad_request("object expected as reply markup")
    rows = raw.get("inline_keyboard")
    if raw and rows is None:
        raise bad_request("only inline keyboards are part of this sandbox")
    if not isinstance(rows or [], list) or not all(isinstance(row, list) for row in rows or []):
        raise bad_request('field "inline_keyboard" of the ReplyKeyboardMarkup must be an Array of Arrays')
    read = [[_inline_button(button) for button in row] for row in rows or [] if row]
    if sum(len(row) for row in read) > BUTTONS_MAX:
        raise bad_request("REPLY_MARKUP_TOO_LONG")
    return {"inline_keyboard": read} if read else None


def _inline_button(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise _bad_button("InlineKeyboardButton must be an Object")
    text = raw.get("text")
    if not isinstance(text, str) or not text.strip():
        raise _bad_button(
            'Field "text" must be of type String' if text is None else "Button text must be non-empty"
        )
    actions = [name for name in _ACTIONS if raw.get(name) not in (None, False)]
    if not actions:
        raise _bad_button("Text buttons are unallowed in the inline keyboard")
    action = actions[0]
    if action == "callback_data":
        size_bytes = len(str(raw[action]).encode())
        if not 1 <= size_bytes <= CALLBACK_DATA_MAX_BYTES:
            raise bad_request("BUTTON_DATA_INVALID")
    if action == "url" and "." not in str(raw[action]) and "://" not in str(raw[action]):
        raise bad_request(f"inline keyboard button URL '{raw[action]}' is invalid: Wrong HTTP URL")
    return {"text": text, action: raw[action], **{name: raw[name] for name in _LOOKS if raw.get(name)}}


def _bad_button(complaint: str) -> BotApiError:
    return BotApiError(400, f"Bad Request: can't parse inline keyboard button: {complaint}")


class Callbacks:
    """Queries by id. One can be answered once, and only while the person's client still waits."""

    def __init__(self, ctx: Context, world: World, updates: UpdateQueue) -> None:
        self._clock = ctx.clock
        self._store = ctx.store
        self._world = world
        self._updates = updates
        self._answered = Signal()

    def press(self, user_id: int, record: dict[str, Any], data: str) -> str:
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
        """answerCallbackQuery. Raises BotApiError 400 when it is too late or not the first."""
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
        """Wait for the bot's answer (`text`, `show_alert`, `url`); None when too late."""

        def answer() -> dict[str, Any] | None:
            doc = self._store.get(CALLBACK_KIND, query_id)
            return doc and doc["answer"]

        return await self._answered.until(answer, timeout_s)


def _chat_instance(chat_id: int) -> str:
    digest = hashlib.sha256(f"chat:{chat_id}".encode()).digest()
    return str(int.from_bytes(digest[:8], "big", signed=True))
