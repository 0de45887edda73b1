"""A sandbox of YooKassa alone, spoken to by the official SDK and by plain HTTP."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from yookassa import Configuration

from services.sandbox import control, yookassa
from tests.support.outside import Listener, Outside, listening, outside

MODULES = {"/yookassa": yookassa.routes, "/__sandbox": control.routes}
SHOP, SECRET = "100500", "test_sandbox"


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    async with outside(MODULES) as running:
        yield running


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening() as hook:
        yield hook


@pytest.fixture
def sdk(sandbox: Outside) -> Iterator[None]:
    """The SDK's global configuration, set for this sandbox and put back."""
    Configuration.configure(SHOP, SECRET, api_url=f"{sandbox.url}/yookassa/v3")
    yield
    Configuration.configure("", "")


async def run(call: Callable[..., Any], *args: Any) -> Any:
    """The SDK blocks: call it in a thread."""
    return await asyncio.to_thread(call, *args)


def basic(shop: str = SHOP, secret: str = SECRET) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{shop}:{secret}".encode()).decode()}


async def request(
    sandbox: Outside, method: str, path: str, body: Any = None, key: str | None = "k"
) -> tuple[int, Any]:
    """(HTTP status, JSON or None)"""
    headers = basic() | ({"Idempotence-Key": key} if key and method == "POST" else {})
    url = f"{sandbox.url}/yookassa/v3{path}"
    async with sandbox.http.request(method, url, json=body, headers=headers) as reply:
        text = await reply.read()
        return reply.status, await reply.json(content_type=None) if text else None


def order(value: str = "390.00", **fields: Any) -> dict[str, Any]:
    """The body of a payment."""
    return {
        "amount": {"value": value, "currency": "RUB"},
        "capture": True,
        "confirmation": {"type": "redirect", "return_url": "https://t.me/neurocards_bot"},
        "description": "Пакет 5 видео, заказ 1024",
        "metadata": {"order_id": "1024"},
    } | fields


async def made(sandbox: Outside, key: str = "k", **fields: Any) -> Any:
    """A pending payment."""
    status, payment = await request(sandbox, "POST", "/payments", order(**fields), key)
    assert status == 200, payment
    return payment


async def press(sandbox: Outside, payment: Any, action: str) -> str:
    """Press a button of the payment page; where the browser is sent to."""
    url = payment["confirmation"]["confirmation_url"]
    async with sandbox.http.post(url, data={"action": action}, allow_redirects=False) as reply:
        assert reply.status == 303, await reply.text()
        return reply.headers["Location"]


async def seen(sandbox: Outside, payment_id: str) -> Any:
    status, payment = await request(sandbox, "GET", f"/payments/{payment_id}")
    assert status == 200
    return payment
