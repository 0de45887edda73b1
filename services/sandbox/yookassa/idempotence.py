"""The memory behind `Idempotence-Key`: 24 hours, one answer per key, and no other data under it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from aiohttp import web

from services.sandbox.context import Context
from services.sandbox.yookassa.wire import invalid

_KIND = "yookassa_key"
_HEADER = "Idempotence-Key"
_LENGTH_MAX = 64
_REMEMBERED_S = 86_400.0


def key_of(request: web.Request) -> str:
    """The request's key. Raises YooError when it has none or too long a one."""
    key = request.headers.get(_HEADER, "")
    if not key:
        raise invalid(
            "Idempotence key is required. Send the value in accordance with the documentation", _HEADER
        )
    if len(key) > _LENGTH_MAX:
        text = "Idempotence key is too long. Send the value in accordance with the documentation"
        raise invalid(text, _HEADER)
    return key


def earlier(ctx: Context, key: str, path: str, body: dict[str, Any]) -> tuple[str, str] | None:
    """(kind, id) of what this very request made before, or None.

    Raises YooError when the key was used for other data within 24 hours.
    """
    doc = ctx.store.get(_KIND, key)
    if doc is None or doc["at"] + _REMEMBERED_S < ctx.clock.now():
        return None
    if doc["hash"] != _hash(path, body):
        raise invalid("Idempotence key duplicated", _HEADER)
    return doc["kind"], doc["id"]


def remember(ctx: Context, key: str, path: str, body: dict[str, Any], made: tuple[str, str]) -> None:
    """Only what succeeded is remembered: a refused request made nothing that could be made twice."""
    kind, made_id = made
    doc = {"hash": _hash(path, body), "kind": kind, "id": made_id, "at": ctx.clock.now()}
    ctx.store.put(_KIND, key, doc)


def _hash(path: str, body: dict[str, Any]) -> str:
    text = json.dumps([path, body], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
