"""KIE's reply envelope `{"code", "msg", "data"}` and task records, parsed.

Mostly over HTTP 200 whatever happened. Read with a size limit and never trusted to be JSON: proxies in
between answer with HTML, cut bodies, or none.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final, Literal

import httpx
import msgspec

from services.adapters.kie.errors import KieNoAnswerError, KieNotSentError, OutcomeUnknownError
from services.adapters.kie.failures import KieFailure, Rule, Signal, failure_for
from services.platform.scrub import scrub

_DAY_S: Final = 86_400.0
REPLY_BYTES_MAX = 1024 * 1024
RAW_BYTES_MAX = 16 * 1024
"""More than `scrub` will keep, since escapes and what it takes out take room."""
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds the provider wants to be left alone, at most a day; None: not said."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, _DAY_S) if math.isfinite(seconds) and seconds >= 0 else None


class Reply(msgspec.Struct, frozen=True):
    """An HTTP reply; `enveloped`: it was KIE's own JSON; `raw`: the body's beginning."""

    http_status: int
    enveloped: bool
    code: str = ""
    text: str = ""
    data: Any = None
    retry_after_s: float | None = None
    raw: str = ""

    @property
    def ok(self) -> bool:
        """KIE's own success code; says nothing about what `data` holds."""
        return self.enveloped and self.code == "200"

    @property
    def fields(self) -> dict[str, Any]:
        return self.data if isinstance(self.data, dict) else {}

    @property
    def signal(self) -> Signal:
        return Signal(self.http_status, self.code, "", self.text)

    def failure(self, rule: Rule | None = None) -> KieFailure:
        return failure_for(self.signal, rule, self.raw)

    @property
    def unusable(self) -> KieFailure:
        words = "an answer without what was asked for" if self.enveloped else "not the expected JSON"
        said = f"HTTP {self.http_status}, {words}"
        return KieFailure("transient", str(self.http_status), said, raw=scrub(self.raw or "an empty body"))


def parse_reply(http_status: int, headers: httpx.Headers, body: bytes) -> Reply:
    """Parse a reply, enveloped or not. Never raises."""
    raw = _beginning(body)
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    code = found.get("code") if isinstance(found, dict) else None
    if isinstance(code, bool) or not isinstance(code, int | str) or not str(code).isdigit():
        return Reply(http_status, False, retry_after_s=retry_after(headers), raw=raw)
    words, data = found.get("msg") or found.get("message") or "", found.get("data")
    return Reply(http_status, True, str(code), str(words), data, retry_after(headers), raw)


async def ask(client: httpx.AsyncClient, request: httpx.Request, *, total_s: float) -> Reply:
    """Exchange a request. Raises KieNotSentError, or OutcomeUnknownError for all that fails later."""
    async with trouble_named(total_s):
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > REPLY_BYTES_MAX:
                    words, raw = f"a reply of more than {REPLY_BYTES_MAX} bytes", scrub(_beginning(body))
                    raise OutcomeUnknownError(
                        KieFailure("transient", str(response.status_code), words, raw=raw)
                    )
        finally:
            await response.aclose()
    return parse_reply(response.status_code, response.headers, _without_key(request, bytes(body)))


@contextlib.asynccontextmanager
async def trouble_named(total_s: float) -> AsyncIterator[None]:
    """Map errors of one exchange, at most `total_s`, to KieNotSentError or OutcomeUnknownError."""
    try:
        async with asyncio.timeout(total_s):
            yield
    except KieNoAnswerError:
        raise
    except _NEVER_SENT as error:
        raise KieNotSentError(_failure(error)) from error
    except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
        raise OutcomeUnknownError(_failure(error)) from error


def _failure(error: Exception) -> KieFailure:
    return failure_for(Signal(exception=type(error).__name__, text=str(error)))


def _without_key(request: httpx.Request, body: bytes) -> bytes:
    """Redact our key where an answer repeats it; `scrub` knows only what keys look like."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    return body.replace(key, b"***") if key else body


def _beginning(body: bytes | bytearray) -> str:
    return body[:RAW_BYTES_MAX].decode("utf-8", "replace").strip()


TaskState = Literal["running", "success", "fail"]

_RUNNING = ("waiting", "queuing", "generating")
URLS_MAX = 10
CHARGED_MILLI_MAX: Final = 10**12


class TaskRecord(msgspec.Struct, frozen=True):
    """A task's record; unfamiliar states (`said`) count as running. `callback_url` is its creator's: ours
    proves that the task is ours. `failure` is also set on a `success` without `urls`. `charged_milli` of an
    ended task: thousandths of the provider's credits, None: unknown."""

    task: str
    state: TaskState
    said: str
    urls: tuple[str, ...] = ()
    failure: KieFailure | None = None
    callback_url: str | None = None
    charged_milli: int | None = None

    @property
    def odd(self) -> bool:
        return self.state == "running" and self.said not in _RUNNING


def parse_record(data: dict[str, Any]) -> TaskRecord:
    """Parse recordInfo's `data`. Never raises; what cannot be read is missing."""
    said = str(data.get("state") or "")
    task = str(data.get("taskId") or "")
    callback_url, charged = _callback_url(data.get("param")), _milli(data.get("creditsConsumed"))
    match said.lower():
        case "success" | "succeeded" | "completed":
            urls = _urls(data.get("resultJson"))
            failure = None if urls else _no_urls(data)
            return TaskRecord(task, "success", said, urls, failure, callback_url, charged)
        case "fail" | "failed":
            return TaskRecord(task, "fail", said, (), _task_failure(data), callback_url, charged)
        case _:
            return TaskRecord(task, "running", said, (), None, callback_url)


def _milli(credits: Any) -> int | None:
    """Thousandths, rounded half up; None for what is no number of credits."""
    try:
        milli = Decimal(str(credits)) * 1000
    except InvalidOperation:
        return None
    told = milli.is_finite() and 0 <= milli <= CHARGED_MILLI_MAX
    return int(milli.to_integral_value(ROUND_HALF_UP)) if told else None


def _task_failure(data: dict[str, Any]) -> KieFailure:
    # Without a code the words alone decide; "501" is what the provider calls a generation that failed.
    code = str(data.get("failCode") or "") or "501"
    return failure_for(Signal(fail_code=code, text=str(data.get("failMsg") or "")), raw=_raw(data))


def _no_urls(data: dict[str, Any]) -> KieFailure:
    return KieFailure("result_broken", "", "a success without a video's address", raw=scrub(_raw(data)))


def _raw(data: dict[str, Any]) -> str:
    """The provider's words on the task, without `param`, which repeats our request."""
    said = {name: value for name, value in data.items() if name != "param"}
    return msgspec.json.encode(said).decode()


def _urls(result: Any) -> tuple[str, ...]:
    found = _object(result).get("resultUrls")
    if not isinstance(found, list):
        return ()
    return tuple(url for url in found if isinstance(url, str) and url)[:URLS_MAX]


def _callback_url(param: Any) -> str | None:
    url = _object(param).get("callBackUrl")
    return url if isinstance(url, str) else None


def _object(value: Any) -> dict[str, Any]:
    """An object, given as itself or (mostly) as JSON text."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}
