"""A Bot API whose every answer a test decides, and which remembers what each chat shows."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from services.platform.health import address_of


@dataclass
class Step:
    """What happens to one call: whether it takes effect, and what the caller gets to hear of it.

    `hold`: nothing, until the test says `release`. `drop`: the connection is cut. `status` and `description`:
    an error; with `html` a gateway's page instead of the Bot API's.
    """

    takes_effect: bool = True
    hold: bool = False
    drop: bool = False
    status: int = 200
    description: str = ""
    retry_after_s: int | None = None
    html: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


def refusal(status: int, description: str, retry_after_s: int | None = None) -> Step:
    """An error answer to a call that has no effect."""
    return Step(takes_effect=False, status=status, description=description, retry_after_s=retry_after_s)


@dataclass
class Shown:
    """A message in a chat."""

    chat_id: int
    message_id: int
    text: str
    video: bytes | None = None
    markup: dict[str, Any] | None = None
    edits: int = 0

    @property
    def buttons(self) -> list[str]:
        rows = (self.markup or {}).get("inline_keyboard", [])
        return [button.get("callback_data", "") for row in rows for button in row]


@dataclass
class Call:
    """A request as it came."""

    method: str
    chat_id: int
    at_s: float
    fields: dict[str, str]


class ScriptedTelegram:
    """Takes effect and says yes, unless a step was set for the method."""

    def __init__(self) -> None:
        self.base = ""
        self.calls: list[Call] = []
        self.messages: list[Shown] = []
        self._steps: list[tuple[str, int | None, Step]] = []
        self._next_id = 1000

    def next(self, method: str, step: Step, *, chat_id: int | None = None, times: int = 1) -> Step:
        """What the next calls of `method` (to the chat) meet."""
        self._steps += [(method, chat_id, step)] * times
        return step

    def place(self, chat_id: int, text: str = "confirm?") -> int:
        """A message that the bot sent before; its id."""
        self._next_id += 1
        self.messages.append(Shown(chat_id, self._next_id, text))
        return self._next_id

    def of(self, chat_id: int) -> list[Shown]:
        """What was sent to the chat, without what was placed."""
        return [shown for shown in self.messages if shown.chat_id == chat_id and shown.text != "confirm?"]

    def sent(self, chat_id: int) -> list[Shown]:
        """New messages in the chat, in order: not the status messages."""
        return [shown for shown in self.of(chat_id) if not shown.edits]

    def message(self, chat_id: int, message_id: int) -> Shown:
        return next(m for m in self.messages if (m.chat_id, m.message_id) == (chat_id, message_id))

    def called(self, method: str, chat_id: int | None = None) -> list[Call]:
        return [c for c in self.calls if c.method == method and chat_id in (None, c.chat_id)]

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["ScriptedTelegram"]:
        """Listen on a free port; `base` is the address for TELEGRAM_API_URL."""
        app = web.Application(client_max_size=200 * 1024 * 1024)
        app.router.add_post("/bot{token}/{method}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.base = address_of(runner)
        try:
            yield self
        finally:
            for _, _, step in self._steps:
                step.release.set()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        form, files = await _read(request)
        chat_id = int(form["chat_id"])
        self.calls.append(Call(method, chat_id, asyncio.get_running_loop().time(), form))
        step = self._take(method, chat_id)
        result = self._carry_out(method, chat_id, form, files) if step.takes_effect else None
        step.reached.set()
        if step.hold:
            await step.release.wait()
        if step.drop:
            assert request.transport is not None
            request.transport.abort()
        return _answer(step, result)

    def _take(self, method: str, chat_id: int) -> Step:
        for index, (wanted, chat, step) in enumerate(self._steps):
            if wanted == method and chat in (None, chat_id):
                del self._steps[index]
                return step
        return Step()

    def _carry_out(
        self, method: str, chat_id: int, form: dict[str, str], files: dict[str, bytes]
    ) -> dict[str, Any] | str:
        markup = json.loads(form["reply_markup"]) if "reply_markup" in form else None
        if method in ("editMessageText", "editMessageCaption"):
            words = form.get("text") or form["caption"]
            shown = self.message(chat_id, int(form["message_id"]))
            if shown.text == words and shown.markup == markup:
                return "Bad Request: message is not modified: specified new message content is the same"
            shown.text, shown.markup, shown.edits = words, markup, shown.edits + 1
            return _message(shown)
        video = files.get(form["video"].removeprefix("attach://")) if "video" in form else None
        text = form.get("text") or form.get("caption") or ""
        self._next_id += 1
        shown = Shown(chat_id, self._next_id, text, video, markup)
        self.messages.append(shown)
        return _message(shown)


def _answer(step: Step, result: dict[str, Any] | str | None) -> web.Response:
    if step.html:
        page = "<html><body>Bad Gateway</body></html>"
        return web.Response(status=step.status, text=page, content_type="text/html")
    if step.status == 200 and isinstance(result, dict):
        return web.json_response({"ok": True, "result": result})
    status = 400 if isinstance(result, str) else step.status
    description = result if isinstance(result, str) else step.description
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    if step.retry_after_s is not None:
        body["parameters"] = {"retry_after": step.retry_after_s}
    return web.json_response(body, status=status)


def _message(shown: Shown) -> dict[str, Any]:
    message: dict[str, Any] = {
        "message_id": shown.message_id,
        "date": 1795358400,
        "chat": {"id": shown.chat_id, "type": "private"},
    }
    if shown.video is None:
        return message | {"text": re.sub(r"<[^>]+>", "", shown.text)}
    video = {
        "file_id": f"file-{shown.message_id}",
        "file_unique_id": "u",
        "width": 1,
        "height": 1,
        "duration": 1,
    }
    return message | {"video": video, "caption": shown.text}


async def _read(request: web.Request) -> tuple[dict[str, str], dict[str, bytes]]:
    form: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            with value.file as file:
                files[name] = file.read()
        else:
            form[name] = str(value)
    return form, files
