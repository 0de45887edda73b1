"""A person's actions towards the bot, with a real client's effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from events.errors import NeurocardsError
from services.sandbox.telegram import Telegram
from services.sandbox.telegram.calls import Upload
from services.sandbox.telegram.content import CONTENT, WORDS, quoted
from services.sandbox.telegram.entities import detected, trimmed
from services.sandbox.telegram.media import Attachment, NotAPhotoError
from services.sandbox.telegram.world import Message, Record

# A client cuts a longer text into several messages, and a longer caption off.
TEXT_LENGTH_MAX = 4096
CAPTION_LENGTH_MAX = 1024
EDITABLE_S = 48 * 3600
TEXT_PARTS_MAX = 100
ALBUM_MAX = 10
DATA_MAX_BYTES = 64
LANGUAGES = ("ru", "en")


class UnsupportedActionError(NeurocardsError):
    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Attached:
    kind: str
    upload: Upload


class Person:
    def __init__(self, telegram: Telegram, user_id: int) -> None:
        self._telegram = telegram
        self._world = telegram.world
        self.id = user_id

    # Writing

    def write(self, text: str, reply_to: int = 0) -> list[Message]:
        """Send text; more than 4096 characters become several messages, as in a real client."""
        clean = text.strip()
        if not clean:
            raise UnsupportedActionError("the text is empty; a client would not send it")
        parts = [clean[i : i + TEXT_LENGTH_MAX] for i in range(0, len(clean), TEXT_LENGTH_MAX)]
        if len(parts) > TEXT_PARTS_MAX:
            raise UnsupportedActionError(
                f"the text is longer than {TEXT_PARTS_MAX * TEXT_LENGTH_MAX} characters", 413
            )
        reply = self._reply(reply_to)
        self._begin()
        return [self._post(reply | _text("text", part)) for part in parts if part.strip()]

    async def attach(self, files: Sequence[Attached], caption: str, reply_to: int = 0) -> list[Message]:
        """Send files; several photos or videos together are an album, documents go one by one."""
        if not files:
            raise UnsupportedActionError("send a text, or a file in a field called photo, document or video")
        if len(files) > ALBUM_MAX:
            raise UnsupportedActionError(f"not more than {ALBUM_MAX} files at once")
        reply = self._reply(reply_to)
        self._begin()
        contents = [reply | dict([await self._keep(file)]) for file in files]
        if len(contents) > 1 and not any("document" in content for content in contents):
            album = str(self._telegram.store.next_id("telegram_album", 13_600_000_000_000_001))
            contents = [{"media_group_id": album, **content} for content in contents]
        contents[0] |= _text("caption", caption.strip()[:CAPTION_LENGTH_MAX])
        with self._telegram.store.batch():
            return [self._post(content) for content in contents]

    async def _keep(self, file: Attached) -> Attachment:
        if not file.upload.data:
            raise UnsupportedActionError("the file is empty; a client would not send it")
        if file.kind == "photo":
            try:
                return await self._telegram.files.keep_photo(file.upload.data)
            except NotAPhotoError:
                pass  # a real client sends what it cannot show as a photo as a file
        if file.kind == "video":
            return await self._telegram.files.keep_video(file.upload, {})
        return await self._telegram.files.keep_document(file.upload)

    def rewrite(self, message_id: int, text: str) -> Message:
        """Edit one's own words, for two days. The bot is told of changes only."""
        record = self._visible(message_id)
        before: Message = record["message"]
        part, longest = ("text", TEXT_LENGTH_MAX) if "text" in before else ("caption", CAPTION_LENGTH_MAX)
        if record["from_bot"] or "forward_origin" in before or not any(key in before for key in CONTENT):
            raise UnsupportedActionError("only the words of your own messages can be edited", 403)
        if self._telegram.ctx.clock.now() - before["date"] > EDITABLE_S:
            raise UnsupportedActionError("a message can be edited for two days; this one is older", 403)
        clean = text.strip()
        if len(clean) > longest or not (clean or part == "caption"):
            raise UnsupportedActionError(f"the text must have 1 to {longest} characters")
        rest = {key: value for key, value in before.items() if key not in WORDS}
        edited: Message = {**rest, **_text(part, clean)}
        if edited == before:
            return before
        edited["edit_date"] = int(self._telegram.ctx.clock.now())
        record["message"] = edited
        with self._telegram.store.batch():
            self._world.change(record)
            self._telegram.updates.push("edited_message", edited, self.id)
        return edited

    def forward(self, message_id: int) -> Message:
        """Forward a message of this chat to the bot."""
        source: Message = self._visible(message_id)["message"]
        content = {key: source[key] for key in CONTENT if key in source}
        if not content:
            raise UnsupportedActionError("this message cannot be forwarded")
        origin = {"type": "user", "sender_user": source["from"], "date": source["date"]}
        origin = source.get("forward_origin", origin)
        self._begin()
        # The Bot API still names the origin in its older way too.
        old = {"forward_from": origin["sender_user"], "forward_date": origin["date"]}
        return self._post({"forward_origin": origin, **old, **content})

    # Buttons and money

    def tap(self, message_id: int, data: str, chat_id: int | None) -> str:
        """Press an inline button, even a removed one; returns the callback query's id."""
        if not 1 <= len(data.encode()) <= DATA_MAX_BYTES:
            raise UnsupportedActionError(f"data must have 1 to {DATA_MAX_BYTES} bytes")
        self._refuse_when_blocked()
        record = self._world.record(self.id if chat_id is None else chat_id, message_id)
        if record is None:
            raise UnsupportedActionError("there is no such message in this chat", 404)
        return self._telegram.callbacks.press(self.id, record, data)

    def pay(self, message_id: int) -> str:
        self._refuse_when_blocked()
        self._visible(message_id)
        invoice = self._telegram.payments.of_message(message_id)
        if invoice is None:
            raise UnsupportedActionError("there is no such invoice", 404)
        return self._telegram.payments.start(self.id, invoice, message_id)

    # Standing towards the bot

    def reset(self) -> None:
        """Delete the chat on both sides and undo a block; the bot may write."""
        self.block(False)
        with self._telegram.store.batch():
            self._world.empty(self.id)
            afresh = {"deactivated": False, "pinned_message_id": None}
            self._world.keep_person(self._world.meet(self.id) | afresh)

    def block(self, blocked: bool) -> None:
        record = self._world.meet(self.id)
        if bool(record["blocked"]) == blocked:
            return
        states = {"status": "kicked", "until_date": 0}, {"status": "member"}
        new, old = states if blocked else states[::-1]
        change = {
            "chat": self._world.chat(self.id),
            "from": record["user"],
            "date": int(self._telegram.ctx.clock.now()),
            "old_chat_member": {"user": self._world.bot_user(), **old},
            "new_chat_member": {"user": self._world.bot_user(), **new},
        }
        with self._telegram.store.batch():
            self._world.keep_person(record | {"blocked": blocked})
            self._telegram.updates.push("my_chat_member", change, self.id)

    def deactivate(self) -> None:
        self._world.keep_person(self._world.meet(self.id) | {"deactivated": True})

    def _begin(self) -> None:
        self._refuse_when_blocked()
        record = self._world.meet(self.id)
        if not record["started"]:
            self._world.keep_person(record | {"started": True})

    def _refuse_when_blocked(self) -> None:
        record = self._world.meet(self.id)
        if record["deactivated"]:
            raise UnsupportedActionError("this account is deleted", 403)
        if record["blocked"]:
            raise UnsupportedActionError("you have blocked the bot; unblock it first", 403)

    def _reply(self, message_id: int) -> dict[str, Any]:
        return {"reply_to_message": quoted(self._visible(message_id))} if message_id else {}

    def _post(self, content: dict[str, Any]) -> Message:
        with self._telegram.store.batch():
            message = self._world.add(self.id, content, from_bot=False)
            self._telegram.updates.push("message", message, self.id)
        return message

    def _visible(self, message_id: int) -> Record:
        record = self._world.record(self.id, message_id)
        if record is None or record.get("deleted"):
            raise UnsupportedActionError("there is no such message in this chat", 404)
        return record


def _text(key: str, raw: str) -> dict[str, Any]:
    clean, _ = trimmed(raw, [])
    if not clean:
        return {}
    entities = detected(clean, [])
    name = "entities" if key == "text" else "caption_entities"
    return {key: clean, **({name: entities} if entities else {})}
