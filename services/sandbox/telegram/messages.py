"""Bot API methods about messages: send, copy, pin, edit, delete; files, chat actions."""

from __future__ import annotations

from typing import Any

from services.sandbox.telegram.buttons import read_markup
from services.sandbox.telegram.calls import Call, bad_request
from services.sandbox.telegram.content import (
    CONTENT,
    FILES,
    deliver,
    formatted_caption,
    read_attachment,
    read_caption,
    read_options,
    read_text,
)
from services.sandbox.telegram.media import Attachment, download_facts
from services.sandbox.telegram.service import Telegram, method
from services.sandbox.telegram.world import Message, Record

DELETABLE_S = 48 * 3600
_DELETE_MANY_MAX = 100
_TEXT = ("text", "entities")
_CAPTION = ("caption", "caption_entities")
_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same"
    " as a current content and reply markup of the message"
)
_ACTIONS = frozenset(
    {
        "typing",
        "upload_photo",
        "record_video",
        "upload_video",
        "record_voice",
        "upload_voice",
        "upload_document",
        "choose_sticker",
        "find_location",
        "record_video_note",
        "upload_video_note",
    }
)


@method("sendMessage")
async def send_message(telegram: Telegram, call: Call) -> Message:
    chat_id = telegram.target(call)
    content = read_text(call)
    markup = read_markup(call)
    options = read_options(telegram, call, chat_id)
    return deliver(telegram, chat_id, options | content, markup)


@method("sendChatAction")
async def send_chat_action(telegram: Telegram, call: Call) -> bool:
    chat_id = telegram.target(call)
    action = call.text("action")
    if action not in _ACTIONS:
        raise bad_request("wrong parameter action in request")
    telegram.world.notice(chat_id, "chat_action", action=action)
    return True


@method("copyMessage")
async def copy_message(telegram: Telegram, call: Call) -> dict[str, int]:
    chat_id = telegram.target(call)
    from_chat = telegram.known_chat(call, "from_chat_id")
    record = telegram.world.record(from_chat, call.integer("message_id"))
    if record is None or record.get("deleted"):
        raise bad_request("message to copy not found")
    source = record["message"]
    content = {key: source[key] for key in CONTENT if key in source}
    if "successful_payment" in source or not content:
        raise bad_request("message can't be copied")
    if call.has("caption") and "text" not in content:
        content = {k: v for k, v in content.items() if not k.startswith("caption")} | read_caption(call)
    options = read_options(telegram, call, chat_id)
    return {"message_id": deliver(telegram, chat_id, options | content, read_markup(call))["message_id"]}


@method("pinChatMessage")
async def pin_chat_message(telegram: Telegram, call: Call) -> bool:
    chat_id = telegram.target(call)
    record = telegram.world.record(chat_id, call.integer("message_id"))
    if record is None or record.get("deleted"):
        raise bad_request("message to pin not found")
    pinned = record["message"]["message_id"]
    telegram.world.keep_person(telegram.world.meet(chat_id) | {"pinned_message_id": pinned})
    telegram.world.notice(chat_id, "pinned", message_id=pinned)
    return True


_KINDS = {
    "sendphoto": "photo",
    "sendvideo": "video",
    "senddocument": "document",
    "sendanimation": "animation",
}


@method("sendPhoto", "sendVideo", "sendDocument", "sendAnimation")
async def send_media(telegram: Telegram, call: Call) -> Message:
    kind = _KINDS[call.method.lower()]
    chat_id = telegram.target(call)
    if not call.has(kind) and kind not in call.uploads:
        raise bad_request(f"there is no {kind} in the request")
    caption = read_caption(call)
    markup = read_markup(call)
    options = read_options(telegram, call, chat_id)
    attachment = await read_attachment(telegram, call, kind, call.text(kind, kind), call.values)
    return deliver(telegram, chat_id, options | content_of(attachment) | caption, markup)


@method("getFile")
async def get_file(telegram: Telegram, call: Call) -> dict[str, Any]:
    return download_facts(telegram.files.describe(call.text("file_id")))


async def input_media(telegram: Telegram, call: Call, item: dict[str, Any]) -> dict[str, Any]:
    kind = str(item.get("type", ""))
    if kind not in _KINDS.values():
        raise bad_request(
            "can't parse InputMedia: type must be non-empty" if not kind else "wrong InputMedia type"
        )
    caption = formatted_caption(
        str(item.get("caption") or ""), str(item.get("parse_mode") or ""), item.get("caption_entities") or []
    )
    attachment = await read_attachment(telegram, call, kind, str(item.get("media") or ""), item)
    return content_of(attachment) | caption


def content_of(attachment: Attachment) -> dict[str, Any]:
    """A message's keys for a file; an animation also fills `document`, for older clients."""
    kind, entry = attachment
    if kind != "animation":
        return {kind: entry}
    document_keys = ("file_name", "mime_type", "thumbnail", "thumb", "file_id", "file_unique_id", "file_size")
    return {"animation": entry, "document": {key: entry[key] for key in document_keys if key in entry}}


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
    if not any(kind in record["message"] for kind in FILES):
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
    return _change(telegram, call, record, (*_TEXT, *_CAPTION, *FILES), content)


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
    """Replace keys of a message and its keyboard (gone when not named)."""
    before: Message = record["message"]
    markup = read_markup(call)
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
