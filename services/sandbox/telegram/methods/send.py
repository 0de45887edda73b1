"""Methods that send or pass on messages without files, and chat actions."""

from __future__ import annotations

from services.sandbox.telegram.compose import deliver, read_caption, read_options, read_text
from services.sandbox.telegram.errors import bad_request
from services.sandbox.telegram.keyboards import read_markup
from services.sandbox.telegram.registry import method
from services.sandbox.telegram.service import Telegram
from services.sandbox.telegram.wire import Call
from services.sandbox.telegram.world import Message, Record

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
