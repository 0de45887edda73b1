"""POST /webhooks/kie/{job}/{submission}/{secret}: the provider calls when a task is done."""

import asyncio
import time
from typing import Final

import structlog
from aiohttp import web
from structlog.contextvars import bind_contextvars

from services.shared import tracing
from services.shared.callback_urls import PREFIX, secret_is_right
from services.shared.periodic import PASSING
from services.shared.settings import Settings
from services.web.callbacks import CallbackDesk, Outcome, task_in
from services.web.metrics import CALLBACKS
from services.web.middleware import route_of
from services.web.signatures import flaw_in

logger = structlog.get_logger()

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


class KieWebhook:
    """The HTTP side of CallbackDesk."""

    def __init__(self, settings: Settings, desk: CallbackDesk) -> None:
        self._settings = settings
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.called)]

    async def called(self, request: web.Request) -> web.Response:
        """200 when there is nothing left to do, 5xx when it should be sent again, 4xx when it is not ours."""
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
            except PASSING as error:
                logger.warning("callback_without_database", job=job, error=repr(error))
                outcome = "later"
            span.set(outcome=outcome)
        return outcome

    def _require_signature(self, job: str, task: str | None, request: web.Request) -> None:
        """Raise 401 for a call that the provider has not signed, if it signs; nothing is read for it."""
        key = self._settings.kie_webhook_hmac_key
        if key is None:
            return
        flaw = flaw_in(key.get_secret_value().encode(), task, request.headers, time.time())
        if flaw is not None:
            CALLBACKS.labels("unsigned").inc()
            logger.warning("callback_not_signed", job=job, flaw=flaw)
            raise web.HTTPUnauthorized
