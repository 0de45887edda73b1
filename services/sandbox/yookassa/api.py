"""YooKassa's API under `/v3`: credentials, faults, idempotence keys, and the calls."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from aiohttp import web

from services.sandbox.app import Context
from services.sandbox.faults import Fault, broken_answer
from services.sandbox.yookassa import checks, notifications, payments
from services.sandbox.yookassa.errors import (
    TOO_MANY,
    YooError,
    bad,
    check_credentials,
    epoch,
    good,
    invalid,
    json_body,
)

Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]
Made = payments.Payment | payments.Refund

_LIMIT_DEFAULT = 10
_LIMIT_MAX = 100
_SINCE, _OF = "created_at.gte", "payment_id"
_LOAD: dict[str, Callable[[Context, str], Made]] = {"payment": payments.load, "refund": payments.load_refund}


def routes(ctx: Context) -> list[web.RouteDef]:
    api = _Api(ctx)
    return [
        web.post("/v3/payments", api.write("create", api.create)),
        web.get("/v3/payments", api.read("list", lambda r: _page(payments.every(ctx), r.query))),
        web.get("/v3/payments/{id}", api.read("get", lambda r: payments.load(ctx, r.match_info["id"]).shown)),
        web.post("/v3/refunds", api.write("refund", api.refund)),
        web.get("/v3/refunds", api.read("list", lambda r: _page(payments.every_refund(ctx), r.query))),
        web.get(
            "/v3/refunds/{id}", api.read("get", lambda r: payments.load_refund(ctx, r.match_info["id"]).shown)
        ),
        web.get("/v3/me", api.read("me", api.me)),
    ]


class _Api:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def read(self, call: str, deed: Callable[[web.Request], dict[str, Any]]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                check_credentials(self._ctx, request)
                words = {"payment": request.match_info.get("id", "")}
                fault = self._ctx.faults.take("yookassa", call, **words)
                if fault is not None:
                    return await _break(request, fault)
                return good(deed(request))
            except YooError as error:
                return bad(error)

        return handle

    def write(self, call: str, deed: Callable[[web.Request, dict[str, Any], str], Made]) -> Handler:
        """A POST. Between looking the key up and remembering it nothing is awaited: no two can race."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                check_credentials(self._ctx, request)
                key = checks.key_of(request)
                body = await json_body(request)
                fault = self._ctx.faults.take("yookassa", call, **_words(request, body, key))
                if fault is not None and not _acts_after(fault):
                    return await _break(request, fault)
                made = self._once(request, body, key, deed)
                if fault is not None and fault.name == "notify_forged":
                    notifications.forge_unpaid(self._ctx, made.shown, fault)
                elif fault is not None:
                    return await _break(request, fault)
                return good(made.shown)
            except YooError as error:
                return bad(error)

        return handle

    def _once(
        self,
        request: web.Request,
        body: dict[str, Any],
        key: str,
        deed: Callable[[web.Request, dict[str, Any], str], Made],
    ) -> Made:
        before = checks.earlier(self._ctx, key, request.path, body)
        if before is not None:
            kind, made_id = before
            return _LOAD[kind](self._ctx, made_id)
        with self._ctx.store.batch():
            made = deed(request, body, key)
            kind = "payment" if isinstance(made, payments.Payment) else "refund"
            checks.remember(self._ctx, key, request.path, body, (kind, made.id))
        return made

    def create(self, request: web.Request, body: dict[str, Any], key: str) -> Made:
        checks.payment(body)
        return payments.create(self._ctx, body, key, f"{request.scheme}://{request.host}")

    def refund(self, request: web.Request, body: dict[str, Any], key: str) -> Made:
        return payments.create_refund(self._ctx, body, key)

    def me(self, request: web.Request) -> dict[str, Any]:
        return {
            "account_id": self._ctx.settings.yookassa_shop_id,
            "status": "enabled",
            "test": payments.is_test(self._ctx),
            "fiscalization": {"enabled": True, "provider": "yoo_receipt"},
            "payment_methods": ["bank_card", "yoo_money"],
        }


def _page(items: Sequence[Made], query: Mapping[str, str]) -> dict[str, Any]:
    """One page of `items` (oldest first), with two filters. Raises YooError."""
    if strange := sorted(set(query) - {"limit", "cursor", _SINCE, _OF}):
        raise invalid(f"{strange[0]} is not part of this sandbox", strange[0])
    limit, since = _limit(query), epoch(query[_SINCE], _SINCE) if _SINCE in query else 0.0
    of = query.get(_OF)
    recent = [item.shown for item in reversed(items) if item.created_at >= since]
    wanted = [shown for shown in recent if of in (None, shown.get(_OF))]
    start = _start(wanted, query.get("cursor"))
    shown = wanted[start : start + limit]
    answer: dict[str, Any] = {"type": "list", "items": shown}
    if start + limit < len(wanted):
        # The cursor names the last one shown: what is created meanwhile moves no page.
        answer["next_cursor"] = base64.urlsafe_b64encode(shown[-1]["id"].encode()).decode()
    return answer


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(_LIMIT_DEFAULT))
    if not text.isdecimal() or not 1 <= int(text) <= _LIMIT_MAX:
        raise invalid(f"limit must be a number from 1 to {_LIMIT_MAX}", "limit")
    return int(text)


def _start(wanted: list[dict[str, Any]], cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        last = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid("Incorrect cursor", "cursor") from error
    for at, shown in enumerate(wanted):
        if shown["id"] == last:
            return at + 1
    raise invalid("Incorrect cursor", "cursor")


def _words(request: web.Request, body: dict[str, Any], key: str) -> dict[str, str]:
    metadata, given = body.get("metadata"), body.get("amount")
    return {
        "payment": request.match_info.get("id") or str(body.get("payment_id", "")),
        "order": str(metadata.get("order_id", "")) if isinstance(metadata, dict) else "",
        "amount": str(given.get("value", "")) if isinstance(given, dict) else "",
        "key": key,
    }


def _acts_after(fault: Fault) -> bool:
    """Whether the call takes effect although its answer fails (argument `after`)."""
    return fault.name in ("500_after", "notify_forged") or bool(fault.args.get("after"))


async def _break(request: web.Request, fault: Fault) -> web.Response:
    if fault.name == "429":
        return bad(YooError("too_many_requests", TOO_MANY))
    broken = await broken_answer(request, fault)
    return bad(YooError("internal_server_error", "Internal server error")) if broken is None else broken
