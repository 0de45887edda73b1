"""Lists: newest first, filtered, in pages that a cursor continues."""

from __future__ import annotations

import base64
import binascii
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from services.sandbox.yookassa.wire import epoch, invalid

_LIMIT_DEFAULT = 10
_LIMIT_MAX = 100
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
}


class Listed(Protocol):
    """What can be listed."""

    shown: dict[str, Any]


def page(items: Sequence[Listed], query: Mapping[str, str], equal: Mapping[str, str]) -> dict[str, Any]:
    """One page of `items` (given oldest first). `equal` maps a query's filters to the object's fields.

    Raises YooError for a limit, date or cursor that is none.
    """
    limit = _limit(query)
    wanted = [item.shown for item in reversed(items) if _fits(item.shown, query, equal)]
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


def _fits(shown: dict[str, Any], query: Mapping[str, str], equal: Mapping[str, str]) -> bool:
    for name, value in query.items():
        field, _, comparison = name.partition(".")
        if comparison in _COMPARE and field in ("created_at", "captured_at"):
            if field not in shown:
                return False
            if not _COMPARE[comparison](epoch(shown[field], field), epoch(value, name)):
                return False
        elif name in equal and _dig(shown, equal[name]) != value:
            return False
    return True


def _dig(shown: dict[str, Any], path: str) -> Any:
    found: Any = shown
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
