"""The provider's replies: `{"code", "msg", "data"}`, mostly over HTTP 200 whatever happened.

Read with a size limit and never trusted to be JSON: proxies in between answer with HTML, cut bodies, or none.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec

from events.job import Failure
from services.adapters.kie.errors import KieNoAnswer, KieNotSent, OutcomeUnknown
from services.adapters.kie.failures import Signal, scrub

REPLY_BYTES_MAX = 1024 * 1024
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class Reply(msgspec.Struct, frozen=True):
    """An HTTP reply. `enveloped` says whether it was KIE's own JSON; if not, `text` is how the body began."""

    http_status: int
    enveloped: bool
    code: str = ""
    text: str = ""
    data: Any = None
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        """KIE's own word that it went well; says nothing about what `data` holds."""
        return self.enveloped and self.code == "200"

    @property
    def fields(self) -> dict[str, Any]:
        """`data` when it is an object, else nothing."""
        return self.data if isinstance(self.data, dict) else {}

    @property
    def signal(self) -> Signal:
        return Signal(self.http_status, self.code, "", self.text if self.enveloped else "")

    @property
    def unusable(self) -> Failure:
        """The failure of a reply that makes no sense."""
        words = f"HTTP {self.http_status}, not the expected JSON: {self.text}"
        return Failure("transient", str(self.http_status), scrub(words))


def parse_reply(http_status: int, headers: httpx.Headers, body: bytes) -> Reply:
    """The reply, enveloped or not. Never raises."""
    retry_after_s = _seconds(headers.get("retry-after", ""))
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        found = None
    code = found.get("code") if isinstance(found, dict) else None
    if isinstance(code, bool) or not isinstance(code, int | str) or not str(code).isdigit():
        return Reply(http_status, False, text=_beginning(body), retry_after_s=retry_after_s)
    words = found.get("msg") or found.get("message") or ""
    return Reply(http_status, True, str(code), str(words), found.get("data"), retry_after_s)


async def ask(client: httpx.AsyncClient, request: httpx.Request, *, total_s: float) -> Reply:
    """Send and read the whole reply. Raises KieNotSent, or OutcomeUnknown for all that can go wrong later."""
    async with trouble_named(total_s):
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > REPLY_BYTES_MAX:
                    words = f"a reply of more than {REPLY_BYTES_MAX} bytes"
                    raise OutcomeUnknown(Failure("transient", str(response.status_code), words))
        finally:
            await response.aclose()
    return parse_reply(response.status_code, response.headers, bytes(body))


@contextlib.asynccontextmanager
async def trouble_named(total_s: float) -> AsyncIterator[None]:
    """Turn the trouble of one exchange, which may last `total_s`, into KieNotSent or OutcomeUnknown."""
    try:
        async with asyncio.timeout(total_s):
            yield
    except KieNoAnswer:
        raise
    except _NEVER_SENT as error:
        raise KieNotSent(_failure(error)) from error
    except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
        raise OutcomeUnknown(_failure(error)) from error


def _failure(error: Exception) -> Failure:
    return Failure("transient", type(error).__name__, scrub(str(error)))


def _beginning(body: bytes) -> str:
    return body[:200].decode("utf-8", "replace").strip() or "an empty body"


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds <= 3600 else None
