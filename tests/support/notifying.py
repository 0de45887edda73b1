"""The web application's notifications of YooKassa, and whoever sends some."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from services.generation.callback_urls import YOOKASSA_PATH
from services.platform.health import Health, address_of
from services.web.main import build_app
from services.web.yookassa_webhook import YooKassaWebhook
from tests.support.payment_fixture import PaymentFixture

GENUINE = "185.71.76.5"


class Wire:
    """Sends to our address what YooKassa, or somebody else, would."""

    def __init__(self, base: str, http: aiohttp.ClientSession) -> None:
        self.url = base + YOOKASSA_PATH
        self._http = http

    async def send(
        self, object_id: str, event: str = "payment.succeeded", *, source: str = GENUINE, **shown: Any
    ) -> int:
        """The status of the answer to a notification with any object."""
        body = {"type": "notification", "event": event, "object": {"id": object_id} | shown}
        return await self.post(json.dumps(body).encode(), source)

    async def post(self, body: Any, source: str = GENUINE) -> int:
        """The status of the answer to any body at all."""
        async with self._http.post(self.url, data=body, headers={"X-Forwarded-For": source}) as reply:
            return reply.status


@asynccontextmanager
async def notified(shop: PaymentFixture) -> AsyncIterator[Wire]:
    """The web application of this till, on a port of its own."""
    health = Health()
    health.started = True
    webhook = YooKassaWebhook(shop.settings, shop.yookassa)
    runner = web.AppRunner(build_app(health, webhook.routes()), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Wire(address_of(runner), http)
    finally:
        await runner.cleanup()
