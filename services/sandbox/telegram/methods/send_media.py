"""Methods that send files: one by one, or as an album."""

from __future__ import annotations

from typing import Any

from services.sandbox.telegram.compose import deliver, formatted_caption, read_caption, read_options
from services.sandbox.telegram.errors import bad_request
from services.sandbox.telegram.files import Attachment, download_facts
from services.sandbox.telegram.keyboards import Markup, read_markup
from services.sandbox.telegram.registry import method
from services.sandbox.telegram.service import Telegram
from services.sandbox.telegram.sources import read_attachment
from services.sandbox.telegram.wire import Call
from services.sandbox.telegram.world import Message

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
