"""Message content: text with entities, options, replies, media by file, id or address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.sandbox.telegram.buttons import Keyboard
from services.sandbox.telegram.calls import BotApiError, Call, Upload, bad_request
from services.sandbox.telegram.entities import Entity, parsed
from services.sandbox.telegram.media import PHOTO_SIZE_MAX_BYTES, Attachment, NotAPhotoError
from services.sandbox.telegram.service import Telegram
from services.sandbox.telegram.world import Message, Record

TEXT_LENGTH_MAX = 4096
CAPTION_LENGTH_MAX = 1024
WORDS = ("text", "entities", "caption", "caption_entities")
FILES = ("animation", "photo", "video", "document")
CONTENT = (*WORDS, *FILES)
"""What a copy of a message has of it."""

_ATTACHED = "attach://"
_WRONG_ID = "wrong file identifier/HTTP URL specified"


def read_text(call: Call) -> dict[str, Any]:
    """`text` and `entities` of a message. Raises BotApiError 400 when empty or longer than 4096."""
    text, entities = parsed(call.text("text"), call.text("parse_mode"), _given(call, "entities"))
    if not text:
        raise bad_request("message text is empty")
    if len(text) > TEXT_LENGTH_MAX:
        raise bad_request("message is too long")
    return {"text": text, **({"entities": entities} if entities else {})}


def read_caption(call: Call) -> dict[str, Any]:
    """`caption` and `caption_entities`, or nothing. Raises BotApiError 400 when longer than 1024."""
    raw = call.text("caption")
    return formatted_caption(raw, call.text("parse_mode"), _given(call, "caption_entities"))


def formatted_caption(raw: str, parse_mode: str, given: list[Entity]) -> dict[str, Any]:
    text, entities = parsed(raw, parse_mode, given)
    if len(text) > CAPTION_LENGTH_MAX:
        raise bad_request("message caption is too long")
    if not text:
        return {}
    return {"caption": text, **({"caption_entities": entities} if entities else {})}


def read_options(telegram: Telegram, call: Call, chat_id: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    reply = call.structure("reply_parameters", "can't parse reply parameters JSON object") or {}
    if not isinstance(reply, dict):
        raise bad_request("object expected as reply parameters")
    reply_to = int(reply.get("message_id") or call.integer("reply_to_message_id"))
    if reply_to:
        record = telegram.world.record(chat_id, reply_to)
        lenient = reply.get("allow_sending_without_reply") or call.flag("allow_sending_without_reply")
        if record is not None and not record.get("deleted"):
            options["reply_to_message"] = quoted(record)
        elif not lenient:
            raise bad_request("message to be replied not found")
    return options


def quoted(record: Record) -> Message:
    """A message as a reply to it shows it."""
    return {key: value for key, value in record["message"].items() if key != "reply_to_message"}


def deliver(telegram: Telegram, chat_id: int, content: dict[str, Any], markup: Keyboard | None) -> Message:
    if markup is not None:
        content = {**content, "reply_markup": markup}
    with telegram.store.batch():
        return telegram.world.add(chat_id, content, from_bot=True)


def _given(call: Call, name: str) -> list[Entity]:
    complaint = "can't parse entities: expected an Array of MessageEntity"
    raw = call.structure(name, complaint) or []
    if not isinstance(raw, list) or not all(_is_entity(item) for item in raw):
        raise BotApiError(400, f"Bad Request: {complaint}")
    return list(raw)


def _is_entity(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        return False
    return isinstance(item.get("offset"), int) and isinstance(item.get("length"), int)


async def read_attachment(
    telegram: Telegram, call: Call, kind: str, source: str, facts: Mapping[str, Any]
) -> Attachment:
    """Store the media `source` points at, described as `kind`.

    `source` is a file_id, `attach://part` or the name of a part; addresses are not fetched. `facts` may hold
    the sender's `width`, `height`, `duration`. Raises BotApiError 400 with the server's sentence.
    """
    upload = call.uploads.get(source.removeprefix(_ATTACHED))
    if upload is not None:
        return await _keep(telegram, kind, upload, facts)
    described = telegram.files.describe(source)
    if described is None or "attachment" not in described:
        raise bad_request(_WRONG_ID)
    known, entry = described["attachment"]
    if known != kind and not {known, kind} <= {"video", "animation"}:
        raise bad_request(f"can't use file of type {known.capitalize()} as {kind.capitalize()}")
    return known, entry


async def _keep(telegram: Telegram, kind: str, upload: Upload, facts: Mapping[str, Any]) -> Attachment:
    if not upload.data:
        raise bad_request("file must be non-empty")
    declared = {key: _whole(facts.get(key)) for key in ("width", "height", "duration")}
    if kind == "photo":
        if len(upload.data) > PHOTO_SIZE_MAX_BYTES:
            raise bad_request("file is too big")
        try:
            return await telegram.files.keep_photo(upload.data)
        except NotAPhotoError as error:
            raise bad_request(str(error)) from error
    if kind in ("video", "animation"):
        return await telegram.files.keep_video(upload, declared, kind)
    return await telegram.files.keep_document(upload)


def _whole(value: Any) -> int:
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        return 0
