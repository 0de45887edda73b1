"""Random ids, and the format of outside ids."""

import base64
import re
import secrets
import time
from typing import Annotated, Any, Final, TypeVar

import msgspec

from events.account import CODE

ID_PATTERN: Final = "[0-9a-v]{24}"
"""Of the ids that are made here."""
CODE_PATTERN: Final = "[0-9a-v]{8}"

_OUTSIDE: Final = r"\A[!-~]{1,128}\Z"

OutsideId = Annotated[str, msgspec.Meta(pattern=_OUTSIDE)]
"""A company's name for something, fit to be kept: it becomes a part of an idempotency key and of a row."""


T = TypeVar("T")
Code = Annotated[str, msgspec.Meta(pattern=CODE, min_length=1)]
"""A company's short word for something, fit to stand in an event."""


class Unreadable(msgspec.Struct, frozen=True):
    """Unreadable item of a company's list; its `id` may be empty."""

    id: str
    reason: str


def new_id() -> str:
    """24 characters of base32, ordered by time: 48 bits of milliseconds, 72 random ones.

    New rows come to an index's right edge. No secret: whoever sees one knows when it was made.
    """
    milliseconds = time.time_ns() // 1_000_000
    return _text((milliseconds & (1 << 48) - 1) << 72 | secrets.randbits(72))


def new_random_id() -> str:
    """24 characters of base32 that tell nothing, for accounts: people pass their ids on."""
    return _text(secrets.randbits(120))


def new_code() -> str:
    """8 characters of base32 that tell nothing, as CODE_PATTERN; 10^12 of them."""
    return _text(secrets.randbits(40), 5)


def _text(number: int, size_bytes: int = 15) -> str:
    return base64.b32hexencode(number.to_bytes(size_bytes, "big")).decode("ascii").lower()


def told(value: Any, kind: type[T]) -> T | None:
    """A fact that is nice to have: None if it is missing or odd, which must stop nothing."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def unreadable(item: Any, reason: Exception) -> Unreadable:
    name = item.get("id") if isinstance(item, dict) else None
    return Unreadable(str(name) if is_outside_id(name) else "", str(reason))


def is_id(text: str) -> bool:
    """Whether it has the form of the ids that are made here."""
    return re.fullmatch(ID_PATTERN, text) is not None


def is_outside_id(value: object) -> bool:
    """Whether an outside id can be kept: 1 to 128 visible ASCII characters."""
    return isinstance(value, str) and re.match(_OUTSIDE, value) is not None
