"""The Bot API over HTTP: token, envelope, faults, file downloads."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from aiohttp import web

from services.sandbox.app import Context
from services.sandbox.faults import Fault, broken_answer
from services.sandbox.knobs import takes_key
from services.sandbox.store import StoreError
from services.sandbox.telegram import bot, messages, service
from services.sandbox.telegram.calls import BotApiError, Call, forbidden, read_call, too_many_requests
from services.sandbox.telegram.service import BLOCKED, METHODS, Described, Telegram

API = "telegram"
FILE_CALL = "file"
HANG_S = 3600.0
_RETRY_AFTER_S = 3
_TOKEN = re.compile(r"\d+:\S+")


def routes(ctx: Context) -> list[web.RouteDef]:
    """`/bot<token>/<method>` and `/file/bot<token>/<path>`."""
    server = _Server(service.of(ctx))
    return [
        web.get("/bot{token}/{method}", server.call),
        web.post("/bot{token}/{method}", server.call),
        web.get("/file/bot{token}/{path:.+}", server.download),
        web.route("*", "/{anything:.*}", server.not_found),
    ]


def root_routes(ctx: Context) -> list[web.RouteDef]:
    """The same at the root, where most libraries look."""
    return routes(ctx)[:-1]


class _Server:
    def __init__(self, telegram: Telegram) -> None:
        self._telegram = telegram
        self._ctx = telegram.ctx

    async def call(self, request: web.Request) -> web.StreamResponse:
        fault: Fault | None = None
        try:
            self._check_token(request.match_info["token"])
            call = await read_call(request, request.match_info["method"])
            fault = self._fault(call)
            if (response := await self._act_before(request, fault)) is not None:
                return response
            if fault is not None and fault.name == "as_animation":
                call = _as_animation(call)
            result = await self._telegram.execute(call)
        except BotApiError as error:
            return _answer(error.body(), error.code)
        if (response := await self._act_after(request, fault)) is not None:
            return response
        if isinstance(result, Described):
            return _answer({"ok": True, "result": result.result, "description": result.description})
        return _answer({"ok": True, "result": result})

    async def download(self, request: web.Request) -> web.StreamResponse:
        try:
            self._check_token(request.match_info["token"])
            path = request.match_info["path"]
            fault = self._ctx.faults.take(API, FILE_CALL, path=path)
            if (response := await self._act_before(request, fault)) is not None:
                return response
        except BotApiError as error:
            return _answer(error.body(), error.code)
        return send_file(self._telegram, path, {"Content-Type": "application/octet-stream"})

    async def not_found(self, request: web.Request) -> web.Response:
        return _answer(BotApiError(404, "Not Found").body(), 404)

    def _check_token(self, token: str) -> None:
        if not _TOKEN.fullmatch(token):
            raise BotApiError(401, "Unauthorized: invalid token specified")
        if not takes_key(self._ctx, token, self._ctx.settings.bot_token):
            raise BotApiError(401, "Unauthorized")

    def _fault(self, call: Call) -> Fault | None:
        name, _ = METHODS.get(call.method.lower(), (call.method, None))
        chat = call.text("chat_id") or call.text("user_id")
        return self._ctx.faults.take(API, name, chat=chat, text=call.text("text") or call.text("caption"))

    async def _act_before(self, request: web.Request, fault: Fault | None) -> web.StreamResponse | None:
        if fault is None:
            return None
        match fault.name:
            case "429":
                raise too_many_requests(int(fault.args.get("retry_after", _RETRY_AFTER_S)))
            case "500":
                raise BotApiError(500, "Internal Server Error")
            case "blocked":
                raise forbidden(BLOCKED)
            case "drop_after" | "hang_after":
                return None
        return await broken_answer(request, fault, hang_s=HANG_S)

    async def _act_after(self, request: web.Request, fault: Fault | None) -> web.StreamResponse | None:
        """The call was carried out, but the caller never hears of it."""
        if fault is None or fault.name not in ("drop_after", "hang_after"):
            return None
        return await broken_answer(request, fault, hang_s=HANG_S)


def _as_animation(call: Call) -> Call:
    """A silent film sent as a video may become an animation; bots must cope."""
    values = {("animation" if name == "video" else name): value for name, value in call.values.items()}
    uploads = {("animation" if name == "video" else name): upload for name, upload in call.uploads.items()}
    return Call("sendAnimation", values, uploads)


def _answer(body: dict[str, Any], status: int = 200) -> web.Response:
    headers = {}
    if retry_after_s := body.get("parameters", {}).get("retry_after"):
        headers["Retry-After"] = str(retry_after_s)
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json", headers=headers
    )


def send_file(telegram: Telegram, file_path: str, headers: dict[str, str]) -> web.StreamResponse:
    """A stored file, whole or a range; 404 as the Bot API says it."""
    try:
        path = telegram.files.disk_path(file_path)
    except StoreError:
        path = None
    if path is None:
        return _answer(BotApiError(404, "Not Found").body(), 404)
    return web.FileResponse(path, headers=headers)


__all__ = ["bot", "messages", "routes", "send_file"]
