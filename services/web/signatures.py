"""The provider's signature on a callback: base64 of HMAC-SHA256 over `<task>.<unix seconds>`.

The body is not signed, so a signature says who calls and when, about which task, and nothing else.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final, Literal

TIMESTAMP: Final = "X-Webhook-Timestamp"
SIGNATURE: Final = "X-Webhook-Signature"
AGE_S_MAX: Final = 300.0
"""Either way: clocks differ, and a call that failed comes again later."""

_SECONDS: Final = re.compile(r"[0-9]{1,12}")

Flaw = Literal["missing", "stale", "wrong"]


def signature(key: bytes, task: str, timestamp: str) -> str:
    """The header's value for a task and a time."""
    digest = hmac.new(key, f"{task}.{timestamp}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def flaw_in(key: bytes, task: str | None, headers: Mapping[str, str], now_s: float) -> Flaw | None:
    """What is wrong with a call's signature; None when it is good. `now_s` is our clock's."""
    timestamp, signed = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if task is None or not signed or not _SECONDS.fullmatch(timestamp):
        return "missing"
    expected = signature(key, task, timestamp).encode()
    if not hmac.compare_digest(expected, signed.strip().encode("utf-8", "surrogateescape")):
        return "wrong"
    return "stale" if abs(now_s - int(timestamp)) > AGE_S_MAX else None
