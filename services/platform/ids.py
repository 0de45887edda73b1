"""Random ids, and the format of outside ids."""

import re
import secrets
from typing import Annotated, Any, Final

import msgspec

_OUTSIDE: Final = r"\A[!-~]{1,128}\Z"

OutsideId = Annotated[str, msgspec.Meta(pattern=_OUTSIDE)]
"""A company's name for something, fit to be kept: it becomes a part of an idempotency key and of a row."""


class Unreadable(msgspec.Struct, frozen=True):
    """Unreadable item of a company's list; its `id` may be empty."""

    id: str
    reason: str


def new_id() -> str:
    """24 hex characters, 96 random bits: fits in a button's 64 bytes."""
    return secrets.token_hex(12)


def unreadable(item: Any, reason: Exception) -> Unreadable:
    name = item.get("id") if isinstance(item, dict) else None
    return Unreadable(str(name) if is_outside_id(name) else "", str(reason))


def is_outside_id(value: object) -> bool:
    """Whether an outside id can be kept: 1 to 128 visible ASCII characters."""
    return isinstance(value, str) and re.match(_OUTSIDE, value) is not None
