"""POST /webhooks/kie/{job}/{submission}/{secret}: the provider's callback that a task is done.

Nothing in a call is believed but which task to look at. Its record is read with our own key, and only one
whose `callBackUrl` is exactly the address that was called belongs to the submission. So a task is found again
although the answer to its creation was lost, and a forged call changes nothing.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
import structlog
from aiohttp import web
from structlog.contextvars import bind_contextvars

from ledger.commands import RecordAccepted
from ledger.errors import LedgerBusyError, LedgerUnavailableError, RejectedError, TaskMismatchError
from ledger.jobs.state import Submission
from ledger.log.ledger import Ledger
from ledger.postgres import DATABASE_ERRORS
from services.adapters.kie.errors import KieError, TaskUnknownError
from services.adapters.kie.gateway import Kie
from services.generation.callback_urls import PREFIX, callback_urls, secret_is_right
from services.platform import tracing
from services.platform.ids import is_outside_id
from services.platform.settings import Settings
from services.web.metrics import CALLBACKS
from services.web.middleware import route_of

logger = structlog.get_logger()

Outcome = Literal["recorded", "known", "other_task", "no_task", "unknown", "foreign", "later"]
PATH: Final = PREFIX + r"/{job:[A-Za-z0-9_-]{1,64}}/{submission:[0-9]{1,4}}/{secret:[0-9A-Za-z]{1,64}}"
BODY_S_MAX: Final = 10.0
"""The provider waits 15 seconds for the answer."""

_STATUS: Final[dict[Outcome, int]] = {
    "recorded": 200,
    "known": 200,
    "other_task": 200,  # nothing gets better by calling again
    "no_task": 400,
    "unknown": 404,
    "foreign": 404,
    "later": 503,
}
TIMESTAMP: Final = "X-Webhook-Timestamp"
SIGNATURE: Final = "X-Webhook-Signature"
AGE_S_MAX: Final = 300.0
"""Either way: clocks differ, and a call that failed comes again later."""

_SECONDS: Final = re.compile(r"[0-9]{1,12}")

Flaw = Literal["missing", "stale", "wrong"]


class CallbackDesk:
    """Takes calls whose secret (and signature) is right; `hint` gets each job with news."""

    def __init__(
        self, settings: Settings, ledger: Ledger, accounts: Kie, hint: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._accounts = accounts
        self._hint = hint

    async def take(self, job: str, number: int, task: str | None) -> Outcome:
        """Look at the task a call is about. `later`: a dependency is away, it should be sent again."""
        outcome = await self._take(job, number, task)
        CALLBACKS.labels(outcome).inc()
        if outcome in ("recorded", "known"):
            self._hint(job)
        log = logger.info if outcome in ("recorded", "known") else logger.warning
        log("callback_taken", job=job, submission=number, outcome=outcome)
        return outcome

    async def _take(self, job: str, number: int, task: str | None) -> Outcome:
        if task is None:
            return "no_task"
        state = await self._ledger.read.job(job)
        bind_contextvars(account=state.account)
        submission = next((s for s in state.submissions if s.number == number), None)
        if submission is None:
            return "unknown"
        if submission.task == task:
            return "known"
        found = await self._is_ours(job, submission, task)
        return found or await self._record(job, number, task)

    async def _is_ours(self, job: str, submission: Submission, task: str) -> Outcome | None:
        """Check the task's record; None: it was made for this submission."""
        client = self._accounts.client(submission.provider_account)
        if client is None:
            logger.error("callback_without_key", job=job, provider_account=submission.provider_account)
            return "later"
        try:
            record = await client.read_task(task)
        except TaskUnknownError:
            return "unknown"
        except KieError as error:
            logger.warning("callback_not_checked", job=job, error=str(error))
            return "later"
        ours = callback_urls(self._settings, job, submission.number)
        if record.callback_url not in ours or record.task not in ("", task):
            return "foreign"
        return None

    async def _record(self, job: str, number: int, task: str) -> Outcome:
        try:
            command = RecordAccepted(job, number, task)
            receipt = await self._ledger.execute(command, key=f"accept:{job}:{number}:{task}")
            bind_contextvars(position=receipt.position)
        except TaskMismatchError:
            # One call of ours made two tasks: both may cost money, so somebody should know.
            logger.error("submission_has_two_tasks", job=job, submission=number, task=task)
            return "other_task"
        except (LedgerUnavailableError, LedgerBusyError) as error:
            logger.warning("callback_not_recorded", job=job, error=repr(error))
            return "later"
        except RejectedError as error:
            logger.error("callback_rejected", job=job, submission=number, error=repr(error))
            return "unknown"
        return "recorded"


def task_in(body: bytes) -> str | None:
    """The task a call is about, wherever the provider put it; None when there is none."""
    try:
        call = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(call, dict):
        return None
    data: dict[str, Any] = call["data"] if isinstance(call.get("data"), dict) else {}
    task = data.get("taskId") or data.get("task_id") or call.get("taskId")
    return str(task) if is_outside_id(task) else None


class KieWebhook:
    def __init__(self, settings: Settings, desk: CallbackDesk) -> None:
        self._settings = settings
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.called)]

    async def called(self, request: web.Request) -> web.Response:
        """Answer a callback: 200 when done, 5xx to have it sent again, 4xx when not ours."""
        job, number = request.match_info["job"], int(request.match_info["submission"])
        if not secret_is_right(self._settings, job, number, request.match_info["secret"]):
            raise web.HTTPNotFound
        bind_contextvars(job=job, submission=number)
        try:
            async with asyncio.timeout(BODY_S_MAX):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        task = task_in(body)
        self._require_signature(job, task, request)
        outcome = await self._take(job, number, task, route_of(request))
        status = _STATUS[outcome]
        if status == 200:
            return web.json_response({"code": 200, "msg": "success"})
        return web.json_response({"code": status, "msg": outcome}, status=status)

    async def _take(self, job: str, number: int, task: str | None, route: str) -> Outcome:
        call = {"http.request.method": "POST", "http.route": route}
        with tracing.span(f"POST {route}", "server", job=job, attributes=call, submission=number) as span:
            try:
                outcome = await self._desk.take(job, number, task)
            except DATABASE_ERRORS as error:
                logger.warning("callback_without_database", job=job, error=repr(error))
                outcome = "later"
            span.set_attributes(tracing.ours(outcome=outcome))
        return outcome

    def _require_signature(self, job: str, task: str | None, request: web.Request) -> None:
        """Raise 401 for an unsigned call, if the provider signs; nothing is read for it."""
        keys = [key.get_secret_value().encode() for key in self._settings.kie_webhook_hmac_key]
        flaws = [flaw_in(key, task, request.headers, time.time()) for key in keys]
        if flaws and None not in flaws:
            flaw = next((flaw for flaw in flaws if flaw != "wrong"), "wrong")
            CALLBACKS.labels("unsigned").inc()
            logger.warning("callback_not_signed", job=job, flaw=flaw)
            raise web.HTTPUnauthorized


def signature(key: bytes, task: str, timestamp: str) -> str:
    """The header's value: base64 of HMAC-SHA256 over `<task>.<unix seconds>`. The body is not signed."""
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
