"""The person's side as an API, under `/chat/{user_id}/...`. A person exists from the first request on.

Answers are JSON; what cannot be done is `{"ok": false, "error": "what to do"}` with a fitting status.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from aiohttp import web

from services.sandbox.app import Context
from services.sandbox.chat.forms import number, read_form, read_json, whole
from services.sandbox.chat.person import LANGUAGES, Person, UnsupportedActionError
from services.sandbox.telegram import Telegram, of
from services.sandbox.telegram.methods.bot import commands, text
from services.sandbox.telegram.server import send_file

USER_ID_MAX = 2**52
WAIT_MAX_S = 50.0
PAY_WAIT_S = 12.0
_PROFILE = ("first_name", "last_name", "username", "language_code")
_PROFILE_LENGTH_MAX = 64
# Everything else is only offered for download, so that a page somebody sends cannot act as ours.
_SHOWN = ("image/jpeg", "image/png", "image/webp", "image/gif", "video/", "audio/")

Action = Callable[[Person, web.Request], Awaitable[web.StreamResponse]]


def routes(ctx: Context) -> list[web.RouteDef]:
    api = _Api(of(ctx))
    return [
        web.get("/users", api.users),
        web.get(r"/{user_id:\d+}/messages", api.act(api.messages)),
        web.get(r"/{user_id:\d+}/profile", api.act(api.profile)),
        web.get(r"/{user_id:\d+}/files/{file_id}", api.act(api.file)),
        web.post(r"/{user_id:\d+}/profile", api.act(api.change_profile)),
        web.post(r"/{user_id:\d+}/send", api.act(api.send)),
        web.post(r"/{user_id:\d+}/edit", api.act(api.edit)),
        web.post(r"/{user_id:\d+}/tap", api.act(api.tap)),
        web.post(r"/{user_id:\d+}/pay", api.act(api.pay)),
        web.post(r"/{user_id:\d+}/{deed:block|unblock|deactivate}", api.act(api.stand)),
    ]


class _Api:
    def __init__(self, telegram: Telegram) -> None:
        self._telegram = telegram
        self._world = telegram.world

    def act(self, action: Action) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler that knows the person and turns UnsupportedActionError into an answer."""

        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                user_id = int(request.match_info["user_id"])
                if not 1 <= user_id <= USER_ID_MAX:
                    raise UnsupportedActionError(f"a user's id is a number from 1 to {USER_ID_MAX}")
                self._world.meet(user_id, **_language(request.query.get("lang", "")))
                return await action(Person(self._telegram, user_id), request)
            except UnsupportedActionError as error:
                return web.json_response({"ok": False, "error": str(error)}, status=error.status)

        return handler

    async def users(self, request: web.Request) -> web.Response:
        """Everybody who ever chatted, for the switcher."""
        return web.json_response({"users": [record["user"] for record in self._world.people()]})

    async def messages(self, person: Person, request: web.Request) -> web.Response:
        """`?after=` a `next` from before (0: everything), `timeout=` seconds to wait, `limit=` the latest.

        `{"messages": [...], "notices": [...], "next": n}`: Bot API messages, each with its `seq`; an edited
        or deleted (`"deleted": true`) message comes again with a new one. `reply_keyboard` and `paid` are
        extra keys only a client sees. Notices: `chat_action`, `callback_answer`, `pinned`.
        """
        after = whole(request.query.get("after", "0"), "after")
        timeout_s = min(WAIT_MAX_S, number(request.query.get("timeout", "0"), "timeout"))
        limit = whole(request.query.get("limit", "0"), "limit")
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
                "commands": commands(self._telegram, language),
                "description": text(self._telegram, "description", language),
            }
        )

    async def change_profile(self, person: Person, request: web.Request) -> web.Response:
        """JSON with any of `first_name`, `last_name`, `username`, `language_code`."""
        body = await read_json(request)
        changes = {key: str(body[key])[:_PROFILE_LENGTH_MAX] for key in _PROFILE if body.get(key)}
        self._world.meet(person.id, **changes)
        return await self.profile(person, request)

    async def send(self, person: Person, request: web.Request) -> web.Response:
        """JSON `{"text", "reply_to_message_id"?}`, or a form: `photo`, `document`, `video`, `caption`."""
        if request.content_type.startswith("multipart/"):
            files, fields = await read_form(request)
            if files:
                sent = await person.attach(files, fields.get("caption", ""))
            else:
                sent = person.write(fields.get("text", ""))
        else:
            body = await read_json(request)
            reply_to = body.get("reply_to_message_id")
            sent = person.write(
                str(body.get("text") or ""), None if reply_to is None else whole(reply_to, "id")
            )
        return web.json_response({"ok": True, "message": sent[0], "messages": sent})

    async def edit(self, person: Person, request: web.Request) -> web.Response:
        """JSON `{"message_id", "text"}`."""
        body = await read_json(request)
        edited = person.rewrite(whole(body.get("message_id"), "message_id"), str(body.get("text") or ""))
        return web.json_response({"ok": True, "message": edited})

    async def tap(self, person: Person, request: web.Request) -> web.Response:
        """JSON `{"message_id", "data", "chat_id"?, "wait"?}`; `answer` is null when none came in `wait` s."""
        body = await read_json(request)
        chat_id = None if body.get("chat_id") is None else whole(body["chat_id"], "chat_id")
        query_id = person.tap(
            whole(body.get("message_id"), "message_id"), str(body.get("data") or ""), chat_id
        )
        wait_s = min(WAIT_MAX_S, number(body.get("wait", 0), "wait"))
        answer = await self._telegram.callbacks.answered(query_id, wait_s)
        return web.json_response({"ok": True, "callback_query_id": query_id, "answer": answer})

    async def pay(self, person: Person, request: web.Request) -> web.Response:
        """JSON `{"message_id"}` or `{"link"}`, `"wait"?`; `state` is paid, declined, timed_out or pending."""
        body = await read_json(request)
        message_id = None if body.get("message_id") is None else whole(body["message_id"], "message_id")
        checkout_id = person.pay(message_id, str(body.get("link") or ""))
        wait_s = min(WAIT_MAX_S, number(body.get("wait", PAY_WAIT_S), "wait"))
        outcome = await self._telegram.payments.decided(checkout_id, wait_s)
        return web.json_response({"ok": True, "pre_checkout_query_id": checkout_id, **outcome})

    async def stand(self, person: Person, request: web.Request) -> web.Response:
        deed = request.match_info["deed"]
        if deed == "deactivate":
            person.deactivate()
        else:
            person.block(deed == "block")
        return web.json_response({"ok": True})

    async def file(self, person: Person, request: web.Request) -> web.StreamResponse:
        """A file's bytes, whole or in ranges."""
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
        return send_file(self._telegram, request, described["file_path"], headers)


def _file_name(described: dict[str, Any]) -> str:
    _, entry = described.get("attachment", ["", {}])
    given = entry.get("file_name") if isinstance(entry, dict) else None
    return str(given or described["file_path"].rpartition("/")[2])


def _language(lang: str) -> dict[str, str]:
    return {"language_code": lang} if lang in LANGUAGES else {}
