"""Control API under `/__sandbox`: faults, settings, record of calls."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
from aiohttp import web

from events.errors import NeurocardsError
from services.sandbox import kie, telegram, yookassa
from services.sandbox.app import Context
from services.sandbox.faults import FaultError, FaultRule
from services.sandbox.knobs import change_knobs, knobs
from services.sandbox.telegram.world import MESSAGE_KIND


class _RefusedError(NeurocardsError):
    """Answered with 400."""


def routes(ctx: Context) -> list[web.RouteDef]:
    """Paths without the prefix. Errors are `{"ok": false, "error": "what to do"}` with HTTP 400."""
    control = _Control(ctx)
    return [
        web.get("/health", control.health),
        web.get("/faults", control.list_faults),
        web.post("/faults", control.add_faults),
        web.delete("/faults", control.remove_faults),
        web.delete("/faults/{id}", control.remove_faults),
        web.post("/seed", control.seed),
        web.get("/settings", control.settings),
        web.post("/settings", control.change_settings),
        web.get("/book", control.book),
    ]


class _Control:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "ok": True,
                "now": self._ctx.clock.now(),
                "base_url": self._ctx.base_url,
                "bot_token": self._ctx.settings.bot_token,
            }
        )

    async def list_faults(self, request: web.Request) -> web.Response:
        return web.json_response(self._ctx.faults.describe())

    async def add_faults(self, request: web.Request) -> web.Response:
        """One rule as an object, or several as a list; all of them or none."""
        try:
            body = await _json(request)
            rules = msgspec.convert(body if isinstance(body, list) else [body], list[FaultRule])
            added = self._ctx.faults.add(*rules)
        except (FaultError, _RefusedError, msgspec.ValidationError) as error:
            return _refusal(error)
        return web.json_response({"ok": True, "ids": added})

    async def remove_faults(self, request: web.Request) -> web.Response:
        removed = self._ctx.faults.remove(request.match_info.get("id"))
        return web.json_response({"ok": True, "removed": removed})

    async def seed(self, request: web.Request) -> web.Response:
        """`{"seed": 7, "rate": 0.2, "only": ["kie"], "args": {"hang": {"seconds": 2}}}`"""
        try:
            wanted = msgspec.convert(await _json(request), _Seed)
            self._ctx.faults.seed(wanted.seed, wanted.rate, wanted.only, wanted.args)
        except (FaultError, _RefusedError, msgspec.ValidationError) as error:
            return _refusal(error)
        return web.json_response({"ok": True})

    async def settings(self, request: web.Request) -> web.Response:
        return web.json_response(msgspec.to_builtins(knobs(self._ctx)))

    async def change_settings(self, request: web.Request) -> web.Response:
        try:
            body = await _json(request)
            if not isinstance(body, dict):
                raise _RefusedError("send a JSON object of settings to change")
            changed = change_knobs(self._ctx, body)
        except NeurocardsError as error:
            return _refusal(error)
        return web.json_response(msgspec.to_builtins(changed))

    async def book(self, request: web.Request) -> web.Response:
        messages = Counter(
            str(record["chat_id"]) for _, record in self._ctx.store.all(MESSAGE_KIND) if record["from_bot"]
        )
        return web.json_response(
            {
                "kie": kie.book(self._ctx),
                "telegram": {"sent": dict(messages), "refused": telegram.of(self._ctx).flood.refused},
                "yookassa": yookassa.book(self._ctx),
            }
        )


class _Seed(msgspec.Struct, forbid_unknown_fields=True):
    seed: int
    rate: float
    only: list[str] | None = None
    args: dict[str, dict[str, Any]] | None = None


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError as error:
        raise _RefusedError(f"the body is not JSON: {error}") from error


def _refusal(error: Exception) -> web.Response:
    return web.json_response({"ok": False, "error": str(error)}, status=400)
