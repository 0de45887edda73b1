"""HTTP API of a person's chat, `/chat/{user_id}/...`.

A person exists from the first request on. Answers are JSON; what cannot be done is
`{"ok": false, "error": "what to do"}` with a fitting status.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any
from urllib.parse import quote

from aiohttp import BodyPartReader, web

from services.sandbox.app import Context
from services.sandbox.chat.person import LANGUAGES, Attached, Person, UnsupportedActionError
from services.sandbox.telegram import Telegram, of
from services.sandbox.telegram.bot import commands, text
from services.sandbox.telegram.calls import Upload, read_part
from services.sandbox.telegram.server import send_file

USER_ID_MAX = 2**52
WAIT_MAX_S = 50.0
PAY_WAIT_S = 12.0
FILE_SIZE_MAX_BYTES = 100 * 1024 * 1024
_FIELD_MAX_BYTES = 1024 * 1024
_KINDS = ("photo", "document", "video")
_PAGE_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:",
}
# Everything else is only offered for download, so that a page somebody sends cannot act as ours.
_SHOWN = ("image/jpeg", "image/png", "image/webp", "image/gif", "video/")

Action = Callable[[Person, web.Request], Awaitable[web.StreamResponse]]


def routes(ctx: Context) -> list[web.RouteDef]:
    api = _Api(of(ctx))
    return [
        web.get("/users", api.users),
        web.get(r"/{user_id:\d+}/messages", api.act(api.messages)),
        web.get(r"/{user_id:\d+}/profile", api.act(api.profile)),
        web.get(r"/{user_id:\d+}/files/{file_id}", api.act(api.file)),
        web.post(r"/{user_id:\d+}/send", api.act(api.send)),
        web.post(r"/{user_id:\d+}/edit", api.act(api.edit)),
        web.post(r"/{user_id:\d+}/forward", api.act(api.forward)),
        web.post(r"/{user_id:\d+}/tap", api.act(api.tap)),
        web.post(r"/{user_id:\d+}/pay", api.act(api.pay)),
        web.post(r"/{user_id:\d+}/{deed:block|unblock|deactivate|reset}", api.act(api.stand)),
    ]


def page_routes(ctx: Context) -> list[web.RouteDef]:
    """The chat page, `/` and `/assets/<file>`; nothing comes from other hosts."""
    folder = resources.files(__package__) / "page"
    assets = {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}

    async def asset(request: web.Request) -> web.Response:
        name = request.match_info.get("name", "index.html")
        if name not in assets:
            raise web.HTTPNotFound
        kind = _PAGE_TYPES.get(name[name.rfind(".") :])
        return web.Response(
            body=assets[name],
            content_type=kind or "application/octet-stream",
            charset="utf-8" if kind else None,
            headers=_PAGE_HEADERS,
        )

    return [web.get("/", asset), web.get("/assets/{name}", asset)]


class _Api:
    def __init__(self, telegram: Telegram) -> None:
        self._telegram = telegram
        self._world = telegram.world

    def act(self, action: Action) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                user_id = int(request.match_info["user_id"])
                if not 1 <= user_id <= USER_ID_MAX:
                    raise UnsupportedActionError(f"a user's id is a number from 1 to {USER_ID_MAX}")
                language = request.query.get("lang", "")
                self._world.meet(user_id, language if language in LANGUAGES else "")
                return await action(Person(self._telegram, user_id), request)
            except UnsupportedActionError as error:
                return web.json_response({"ok": False, "error": str(error)}, status=error.status)

        return handler

    async def users(self, request: web.Request) -> web.Response:
        return web.json_response({"users": [record["user"] for record in self._world.people()]})

    async def messages(self, person: Person, request: web.Request) -> web.Response:
        """`?after=` a `next` from before (0: everything), `timeout=` seconds to wait, `limit=` the latest.

        `{"messages": [...], "notices": [...], "next": n}`: Bot API messages, each with its `seq`; an edited
        or deleted (`"deleted": true`) message comes again with a new one. `paid` is an extra key that only a
        client sees. Notices: `chat_action`, `callback_answer`, `pinned`.
        """
        after = _whole(request.query.get("after", "0"), "after")
        timeout_s = min(WAIT_MAX_S, _seconds(request.query.get("timeout", "0"), "timeout"))
        limit = _whole(request.query.get("limit", "0"), "limit")
        messages, notices, following = self._world.since(person.id, after)
        if not messages and not notices and timeout_s > 0:
            await self._world.wait(person.id, timeout_s)
            messages, notices, following = self._world.since(person.id, after)
        if limit:
            messages = messages[-limit:]
        return web.json_response({"messages": messages, "notices": notices, "next": following})

    async def profile(self, person: Person, request: web.Request) -> web.Response:
        record = self._world.meet(person.id)
        language = record["user"].get("language_code", "")
        return web.json_response(
            {
                "user": record["user"],
                "started": record["started"],
                "blocked": record["blocked"],
                "pinned_message_id": record.get("pinned_message_id"),
                "bot": self._world.bot_user(),
                "commands": commands(self._telegram, language, person.id),
                "description": text(self._telegram, "description", language),
            }
        )

    async def send(self, person: Person, request: web.Request) -> web.Response:
        """JSON `{"text", "reply_to"?}`, or a form: `photo`, `document`, `video`, `caption`, `reply_to`."""
        if request.content_type.startswith("multipart/"):
            files, fields = await _form(request)
        else:
            files, fields = [], await _json(request)
        reply_to = _whole(fields.get("reply_to") or 0, "reply_to")
        if files:
            sent = await person.attach(files, fields.get("caption", ""), reply_to)
        else:
            sent = person.write(str(fields.get("text") or ""), reply_to)
        return web.json_response({"ok": True, "message": sent[0], "messages": sent})

    async def edit(self, person: Person, request: web.Request) -> web.Response:
        """JSON `{"message_id", "text"}`."""
        body = await _json(request)
        edited = person.rewrite(_whole(body.get("message_id"), "message_id"), str(body.get("text") or ""))
        return web.json_response({"ok": True, "message": edited})

    async def forward(self, person: Person, request: web.Request) -> web.Response:
        """JSON `{"message_id"}`."""
        forwarded = person.forward(_whole((await _json(request)).get("message_id"), "message_id"))
        return web.json_response({"ok": True, "message": forwarded})

    async def tap(self, person: Person, request: web.Request) -> web.Response:
        """JSON `{"message_id", "data", "chat_id"?, "wait"?}`; `answer` is null when none came in `wait` s."""
        body = await _json(request)
        chat_id = None if body.get("chat_id") is None else _whole(body["chat_id"], "chat_id")
        query_id = person.tap(
            _whole(body.get("message_id"), "message_id"), str(body.get("data") or ""), chat_id
        )
        wait_s = min(WAIT_MAX_S, _seconds(body.get("wait", 0), "wait"))
        answer = await self._telegram.callbacks.answered(query_id, wait_s)
        return web.json_response({"ok": True, "callback_query_id": query_id, "answer": answer})

    async def pay(self, person: Person, request: web.Request) -> web.Response:
        """JSON `{"message_id"}`, `"wait"?`; `state` is paid, declined, timed_out or pending."""
        body = await _json(request)
        checkout_id = person.pay(_whole(body.get("message_id"), "message_id"))
        wait_s = min(WAIT_MAX_S, _seconds(body.get("wait", PAY_WAIT_S), "wait"))
        outcome = await self._telegram.payments.decided(checkout_id, wait_s)
        return web.json_response({"ok": True, "pre_checkout_query_id": checkout_id, **outcome})

    async def stand(self, person: Person, request: web.Request) -> web.Response:
        deed = request.match_info["deed"]
        if deed == "deactivate":
            person.deactivate()
        elif deed == "reset":
            person.reset()
        else:
            person.block(deed == "block")
        return web.json_response({"ok": True})

    async def file(self, person: Person, request: web.Request) -> web.StreamResponse:
        described = self._telegram.files.describe(request.match_info["file_id"])
        if described is None:
            raise UnsupportedActionError("there is no such file", 404)
        mime = described["mime"]
        shown = mime.startswith(_SHOWN) and "download" not in request.query
        name = _file_name(described)
        headers = {
            "Content-Type": mime,
            "Content-Disposition": f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(name)}",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
            "Cache-Control": "private, max-age=86400, immutable",
        }
        return send_file(self._telegram, described["file_path"], headers)


def _file_name(described: dict[str, Any]) -> str:
    _, entry = described.get("attachment", ["", {}])
    given = entry.get("file_name") if isinstance(entry, dict) else None
    return str(given or described["file_path"].rpartition("/")[2])


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError as error:
        raise UnsupportedActionError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise UnsupportedActionError("send a JSON object")
    return body


async def _form(request: web.Request) -> tuple[list[Attached], dict[str, str]]:
    files: list[Attached] = []
    fields: dict[str, str] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise UnsupportedActionError("nested multipart is not understood")
            name = part.name or ""
            if part.filename is None and name not in _KINDS:
                fields[name] = (await _part(part, _FIELD_MAX_BYTES)).decode("utf-8", "replace")
                continue
            data = await _part(part, FILE_SIZE_MAX_BYTES)
            if name in _KINDS:
                kind = part.headers.get("Content-Type", "application/octet-stream")
                files.append(Attached(name, Upload(part.filename or name, kind, data)))
    except ValueError as error:
        raise UnsupportedActionError(f"the form cannot be read: {error}") from error
    return files, fields


async def _part(part: BodyPartReader, limit_bytes: int) -> bytes:
    data, _ = await read_part(part, limit_bytes)
    if data is None:
        raise UnsupportedActionError(f"{part.name} is larger than {limit_bytes // 2**20} MB", 413)
    return data


def _whole(value: Any, name: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise UnsupportedActionError(f"{name} must be a whole number") from error


def _seconds(value: Any, name: str) -> float:
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError) as error:
        raise UnsupportedActionError(f"{name} must be a number of seconds") from error
