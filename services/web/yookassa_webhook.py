"""POST /webhooks/yookassa: YooKassa's notifications; the object is read with our key.

Notifications are not signed. So they are taken from YooKassa's own networks only, and nothing in one is
believed but which object to look at. That object is read with our key, and what the read says is recorded.

    200  recorded, or known already, or nothing for us to do: it need not come again. Also for a payment in
         our shop that we did not order: sending it again for a day would change nothing, a person is alarmed
    404  the shop has no such object: a forgery, or too new for reading to show it yet; let it come again
    5xx  the provider, the database or the ledger is away: let it come again (YooKassa does for 24 hours)
    403  from a network that is not YooKassa's      400, 408, 413  not a notification, too slow, too large
"""

import asyncio
import ipaddress
import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
import structlog
from aiohttp import web

from ledger.errors import LedgerError
from ledger.postgres import DATABASE_ERRORS
from services.adapters.yookassa.errors import NotFoundError, YooKassaError
from services.generation.callback_urls import YOOKASSA_PATH
from services.payments.metrics import alarm
from services.payments.orders import Outcome
from services.payments.yookassa import YooKassaPayments
from services.platform.settings import Settings
from services.web.metrics import NOTIFICATIONS

logger = structlog.get_logger()

BODY_BYTES_MAX: Final = 64 * 1024
BODY_S_MAX: Final = 5.0
ANSWER_S_MAX: Final = 25.0
"""Longer than this nobody waits for us; the work goes on and the next delivery finds it done."""
PUT_OFF_S_MAX: Final = 2.0

_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_UNUSED: Final = frozenset({"payment_method", "payout", "deal", "personal_data", "invoice"})

Answer = Outcome | Literal["no_notification", "unused", "unknown", "later"]

_STATUS: Final[dict[Answer, int]] = {
    "credited": 200,
    "known": 200,
    "flagged": 200,  # it stands in the ledger as such, and a person was alarmed
    "pending": 200,
    "cancelled": 200,
    "recorded": 200,
    "foreign": 200,
    "unused": 200,
    "no_notification": 400,
    "unknown": 404,
    "later": 503,
}


class Notice(msgspec.Struct, frozen=True):
    """All that is taken from a notification: kind of object, its id, whether money came."""

    kind: str
    id: str
    paid: bool = False


class YooKassaWebhook:
    def __init__(self, settings: Settings, payments: YooKassaPayments) -> None:
        self._payments = payments
        self._proxies = settings.web_proxies_count
        self._networks = [ipaddress.ip_network(network) for network in settings.yookassa_sources]

    def routes(self) -> list[web.RouteDef]:
        return [web.post(YOOKASSA_PATH, self.called)]

    async def called(self, request: web.Request) -> web.Response:
        """Handle a notification; statuses: the module's docstring."""
        source = source_of(request.remote, request.headers.getall("X-Forwarded-For", ()), self._proxies)
        if source is None or not any(source in network for network in self._networks):
            NOTIFICATIONS.labels("foreign_address").inc()
            logger.warning("notification_from_elsewhere", source=str(source))
            raise web.HTTPForbidden
        notice = notice_in(await _body(request))
        if notice is None:
            answer: Answer = "no_notification"
        elif notice.kind in _UNUSED:
            answer = "unused"
        else:
            answer = await self._take(notice)
        NOTIFICATIONS.labels(answer).inc()
        status = _STATUS[answer]
        log = logger.info if status == 200 else logger.warning
        log("notification_taken", outcome=answer, object=notice.id if notice else None)
        return web.Response(status=status)

    async def _take(self, notice: Notice) -> Answer:
        is_payment = notice.kind == "payment"
        look = self._payments.payment_told if is_payment else self._payments.refund_told
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                return await look(notice.id)
        except NotFoundError:
            alarm("unknown_object", object=notice.id, kind_of=notice.kind)
            return "unknown"
        except (YooKassaError, LedgerError, *DATABASE_ERRORS) as error:
            logger.warning("notification_not_taken", object=notice.id, error=repr(error))
            await self._put_off(notice)
            return "later"

    async def _put_off(self, notice: Notice) -> None:
        """Keep a paid notification that could not be settled: it must be seen even without another."""
        if not notice.paid:
            return
        try:
            async with asyncio.timeout(PUT_OFF_S_MAX):
                await self._payments.orders.links.report_paid(notice.id)
        except DATABASE_ERRORS as error:
            logger.warning("notification_not_kept", object=notice.id, error=repr(error))


def source_of(
    peer: str | None, forwarded: Sequence[str], proxies: int
) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The request's sender behind `proxies` proxies of ours; None when it cannot be told. Each proxy appends
    whom it got the request from, so only the last `proxies` entries are ours to believe."""
    chain = [part.strip() for line in forwarded for part in line.split(",")] + [peer or ""]
    if len(chain) <= proxies:
        return None
    try:
        source = ipaddress.ip_address(_without_port(chain[-1 - proxies]))
    except ValueError:
        return None
    return source.ipv4_mapped or source if isinstance(source, ipaddress.IPv6Address) else source


def _without_port(text: str) -> str:
    """Some proxies write `1.2.3.4:5678` or `[::1]:5678`."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def notice_in(body: bytes) -> Notice | None:
    """Parse a notification; None when it is none."""
    try:
        call: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(call, dict) or not isinstance(call.get("object"), dict):
        return None
    event, name = call.get("event"), call["object"].get("id")
    if not isinstance(event, str) or not isinstance(name, str) or not _ID.fullmatch(name):
        return None
    kind = event.partition(".")[0]
    if kind not in {"payment", "refund", *_UNUSED}:
        return None
    return Notice(kind, name, paid=event == "payment.succeeded")


async def _body(request: web.Request) -> bytes:
    if (request.content_length or 0) > BODY_BYTES_MAX:
        raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, request.content_length or 0)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, len(body))
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(body)
