"""The adapter, pointed at a sandbox whose faults a test turns on, or at a server that says anything."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.adapters.yookassa.gateway import YooKassa
from services.platform.settings import Settings, load_settings
from services.sandbox import control, yookassa
from tests.support.outside import Outside, outside


def shop_settings(base: str, **changes: Any) -> Settings:
    """A shop at `base`; short patience."""
    fields: dict[str, Any] = {
        "yookassa_shop_id": "100500",
        "yookassa_secret_key": "test_sandbox",
        "yookassa_read_seconds": 0.5,
        "yookassa_connect_seconds": 1,
    }
    return load_settings(yookassa_api_url=base, **(fields | changes))


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    modules = {"/yookassa": yookassa.routes, "/__sandbox": control.routes}
    async with outside(modules) as running:
        yield running


@pytest.fixture
async def shop(sandbox: Outside) -> AsyncIterator[YooKassa]:
    async with YooKassa(shop_settings(f"{sandbox.url}/yookassa/v3")) as shop:
        yield shop


def body(value: str = "390.00", **more: Any) -> dict[str, Any]:
    return {
        "amount": {"value": value, "currency": "RUB"},
        "capture": True,
        "confirmation": {"type": "redirect", "return_url": "https://t.me/neurocards_bot"},
        "description": "5",
        "metadata": {"order_id": "p1"},
    } | more
