"""Methods that change or remove messages."""

from __future__ import annotations

from typing import Any

from services.sandbox.telegram.compose import read_caption, read_text
from services.sandbox.telegram.errors import bad_request
from services.sandbox.telegram.keyboards import read_markup
from services.sandbox.telegram.methods.send import input_media
from services.sandbox.telegram.registry import method
from services.sandbox.telegram.service import Telegram
from services.sandbox.telegram.wire import Call
from services.sandbox.telegram.world import Message, Record

DELETABLE_S = 48 * 3600
_DELETE_MANY_MAX = 100
_FILES = ("animation", "photo", "video", "document", "audio", "voice")
_TEXT = ("text", "entities")
_CAPTION = ("caption", "caption_entities")
_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same"
    " as a current content and reply markup of the message"
)


@method("editMessageText")
async def edit_message_text(telegram: Telegram, call: Call) -> Message:
    record = _editable(telegram, call)
    content = read_text(call)
    if "text" not in record["message"]:
        raise bad_request("there is no text in the message to edit")
    return _change(telegram, call, record, _TEXT, content)


@method("editMessageCaption")
async def edit_message_caption(telegram: Telegram, call: Call) -> Message:
    record = _editable(telegram, call)
    if not any(kind in record["message"] for kind in _FILES):
        raise bad_request("there is no caption in the message to edit")
    return _change(telegram, call, record, _CAPTION, read_caption(call))


@method("editMessageMedia")
async def edit_message_media(telegram: Telegram, call: Call) -> Message:
    record = _editable(telegram, call)
    item = call.structure("media", "can't parse InputMedia JSON object")
    if not isinstance(item, dict):
        raise bad_request("input media is not specified")
    content = await input_media(telegram, call, item)
    # Fetching took time; what was read before may be old by now.
    record = _editable(telegram, call, charge=False)
    return _change(telegram, call, record, (*_TEXT, *_CAPTION, *_FILES), content)


@method("editMessageReplyMarkup")
async def edit_message_reply_markup(telegram: Telegram, call: Call) -> Message:
    return _change(telegram, call, _editable(telegram, call), (), {})


@method("deleteMessage")
async def delete_message(telegram: Telegram, call: Call) -> bool:
    chat_id = telegram.known_chat(call)
    _delete(telegram, _deletable(telegram, chat_id, call.integer("message_id")))
    return True


@method("deleteMessages")
async def delete_messages(telegram: Telegram, call: Call) -> bool:
    chat_id = telegram.known_chat(call)
    ids = call.structure("message_ids", "can't parse message identifiers JSON object")
    if not isinstance(ids, list) or not 1 <= len(ids) <= _DELETE_MANY_MAX:
        raise bad_request("there must be from 1 to 100 message identifiers")
    for message_id in ids:
        record = telegram.world.record(chat_id, int(message_id))
        if record is not None and not record.get("deleted"):  # those not found are skipped
            _delete(telegram, record)
    return True


def _editable(telegram: Telegram, call: Call, charge: bool = True) -> Record:
    chat_id = telegram.target(call) if charge else telegram.known_chat(call)
    if not call.has("message_id"):
        raise bad_request("message identifier is not specified")
    record: Record | None = telegram.world.record(chat_id, call.integer("message_id"))
    if record is None or record.get("deleted"):
        raise bad_request("message to edit not found")
    if not record["from_bot"]:
        raise bad_request("message can't be edited")
    return record


def _change(
    telegram: Telegram, call: Call, record: Record, replaced: tuple[str, ...], content: dict[str, Any]
) -> Message:
    """Replace some keys of a message and its inline keyboard (gone when the call names none)."""
    before: Message = record["message"]
    markup = read_markup(call).inline
    after = {
        key: value for key, value in before.items() if key not in (*replaced, "reply_markup", "edit_date")
    }
    after |= content
    if markup is not None:
        after["reply_markup"] = markup
    if after == {key: value for key, value in before.items() if key != "edit_date"}:
        raise bad_request(_NOT_MODIFIED)
    if replaced:
        after["edit_date"] = int(telegram.ctx.clock.now())
    elif "edit_date" in before:
        after["edit_date"] = before["edit_date"]  # a changed keyboard alone does not count as an edit
    record["message"] = after
    with telegram.store.batch():
        telegram.world.change(record)
    edited: Message = record["message"]
    return edited


def _deletable(telegram: Telegram, chat_id: int, message_id: int) -> Record:
    record: Record | None = telegram.world.record(chat_id, message_id)
    if record is None or record.get("deleted"):
        raise bad_request("message to delete not found")
    if telegram.ctx.clock.now() - record["message"]["date"] > DELETABLE_S:
        raise bad_request("message can't be deleted for everyone")
    return record


def _delete(telegram: Telegram, record: Record) -> None:
    record["deleted"] = True
    with telegram.store.batch():
        telegram.world.change(record)
