"""Methods that send or pass on messages without files, and chat actions."""

from __future__ import annotations

from typing import Any

from services.sandbox.telegram.compose import (
    deliver,
    formatted_caption,
    read_attachment,
    read_caption,
    read_options,
    read_text,
)
from services.sandbox.telegram.errors import bad_request
from services.sandbox.telegram.files import Attachment, download_facts
from services.sandbox.telegram.keyboards import Markup, read_markup
from services.sandbox.telegram.registry import Described, method
from services.sandbox.telegram.service import Telegram
from services.sandbox.telegram.wire import Call
from services.sandbox.telegram.world import Message, Record

# Methods by which the bot gets its updates, and answers taps.


LIMIT_MAX = 100
TIMEOUT_MAX_S = 50


@method("getUpdates")
async def get_updates(telegram: Telegram, call: Call) -> list[dict[str, Any]]:
    telegram.updates.allow(call.structure("allowed_updates", "can't parse allowed updates"))
    return await telegram.updates.poll(
        offset=call.integer("offset"),
        limit=call.integer("limit", LIMIT_MAX, low=1, high=LIMIT_MAX),
        timeout_s=call.integer("timeout", low=0, high=TIMEOUT_MAX_S),
        webhook_url=telegram.webhooks.current()["url"],
    )


@method("setWebhook")
async def set_webhook(telegram: Telegram, call: Call) -> Described:
    return Described(True, telegram.webhooks.set(call))


@method("deleteWebhook")
async def delete_webhook(telegram: Telegram, call: Call) -> Described:
    dropping = {key: value for key, value in call.values.items() if key == "drop_pending_updates"}
    return Described(True, telegram.webhooks.set(Call(call.method, dropping)))


@method("getWebhookInfo")
async def get_webhook_info(telegram: Telegram, call: Call) -> dict[str, Any]:
    return telegram.webhooks.info()


@method("answerCallbackQuery")
async def answer_callback_query(telegram: Telegram, call: Call) -> bool:
    return telegram.callbacks.answer(call)


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
_CONTENT = (
    "text",
    "entities",
    "animation",
    "photo",
    "video",
    "document",
    "audio",
    "voice",
    "caption",
    "caption_entities",
    "invoice",
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
    source = _source(telegram, call, "copy")
    content = {key: source["message"][key] for key in _CONTENT if key in source["message"]}
    if "successful_payment" in source["message"] or not content or "invoice" in content:
        raise bad_request("message can't be copied")
    if call.has("caption") and "text" not in content:
        content = {k: v for k, v in content.items() if not k.startswith("caption")} | read_caption(call)
    options = read_options(telegram, call, chat_id)
    return {"message_id": deliver(telegram, chat_id, options | content, read_markup(call))["message_id"]}


@method("forwardMessage")
async def forward_message(telegram: Telegram, call: Call) -> Message:
    chat_id = telegram.target(call)
    source = _source(telegram, call, "forward")
    message = source["message"]
    content = {key: message[key] for key in _CONTENT if key in message}
    if not content or message.get("has_protected_content"):
        raise bad_request("message can't be forwarded")
    origin = {"type": "user", "sender_user": message["from"], "date": message["date"]}
    forwarded = {"forward_origin": origin, "forward_from": message["from"], "forward_date": message["date"]}
    markup = {"reply_markup": message["reply_markup"]} if "reply_markup" in message else {}
    with telegram.store.batch():
        return telegram.world.add(chat_id, {**forwarded, **content, **markup}, from_bot=True)


@method("pinChatMessage", "unpinChatMessage", "unpinAllChatMessages")
async def pin_chat_message(telegram: Telegram, call: Call) -> bool:
    chat_id = telegram.target(call)
    person = telegram.world.meet(chat_id)
    pinned = None
    if call.method.lower() == "pinchatmessage":
        record = telegram.world.record(chat_id, call.integer("message_id"))
        if record is None or record.get("deleted"):
            raise bad_request("message to pin not found")
        pinned = record["message"]["message_id"]
    telegram.world.keep_person(person | {"pinned_message_id": pinned})
    telegram.world.notice(chat_id, "pinned", message_id=pinned)
    return True


def _source(telegram: Telegram, call: Call, verb: str) -> Record:
    """The message a call passes on, from whichever chat."""
    from_chat = telegram.known_chat(call, "from_chat_id")
    record: Record | None = telegram.world.record(from_chat, call.integer("message_id"))
    if record is None or record.get("deleted"):
        raise bad_request(f"message to {verb} not found")
    return record


# Methods that send files: one by one, or as an album.


ALBUM_MIN, ALBUM_MAX = 2, 10
_KINDS = {
    "sendphoto": "photo",
    "sendvideo": "video",
    "senddocument": "document",
    "sendanimation": "animation",
    "sendaudio": "audio",
    "sendvoice": "voice",
}


@method("sendPhoto", "sendVideo", "sendDocument", "sendAnimation", "sendAudio", "sendVoice")
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


@method("sendMediaGroup")
async def send_media_group(telegram: Telegram, call: Call) -> list[Message]:
    chat_id = telegram.target(call)
    items = call.structure("media", "can't parse media JSON object")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise bad_request("expected an Array of InputMedia")
    if not ALBUM_MIN <= len(items) <= ALBUM_MAX:
        raise bad_request("wrong number of media in the album: there must be from 2 to 10")
    options = read_options(telegram, call, chat_id)
    contents = [await input_media(telegram, call, item) for item in items]
    album = {"media_group_id": str(telegram.store.next_id("telegram_album", 13_600_000_000_000_001))}
    with telegram.store.batch():
        return [deliver(telegram, chat_id, album | options | content, Markup()) for content in contents]


@method("getFile")
async def get_file(telegram: Telegram, call: Call) -> dict[str, Any]:
    return download_facts(telegram.files.describe(call.text("file_id")))


async def input_media(telegram: Telegram, call: Call, item: dict[str, Any]) -> dict[str, Any]:
    """The content of one InputMedia: the file and its caption."""
    kind = str(item.get("type", ""))
    if kind not in _KINDS.values() or kind == "voice":
        raise bad_request(
            "can't parse InputMedia: type must be non-empty" if not kind else "wrong InputMedia type"
        )
    caption = formatted_caption(
        str(item.get("caption") or ""), str(item.get("parse_mode") or ""), item.get("caption_entities") or []
    )
    attachment = await read_attachment(telegram, call, kind, str(item.get("media") or ""), item)
    return content_of(attachment) | caption


def content_of(attachment: Attachment) -> dict[str, Any]:
    """A message's own keys for a file; an animation also fills `document`, for clients older than it."""
    kind, entry = attachment
    if kind != "animation":
        return {kind: entry}
    document_keys = ("file_name", "mime_type", "thumbnail", "thumb", "file_id", "file_unique_id", "file_size")
    return {"animation": entry, "document": {key: entry[key] for key in document_keys if key in entry}}
