"""A till of the test's own."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest
from prometheus_client import REGISTRY

from ledger.log.ledger import Ledger
from services.platform.database import create_pool
from services.platform.settings import Settings
from tests.support.outside import Outside
from tests.support.payment_fixture import PaymentFixture, payment_settings, running_sandbox, till
from tests.support.stars_fixture import StarsFixture, stars_till

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    async with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def settings(database_url: str, sandbox: Outside) -> Settings:
    return payment_settings(database_url, sandbox.url)


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator["Pool"]:
    async with await create_pool(settings, "test") as pool:
        yield pool


@pytest.fixture
async def shop(
    settings: Settings, ledger: Ledger, pool: "Pool", sandbox: Outside
) -> AsyncIterator[PaymentFixture]:
    async with till(settings, ledger, pool, sandbox) as running:
        yield running


@pytest.fixture
async def stars_shop(database_url: str, ledger: Ledger) -> AsyncIterator[StarsFixture]:
    async with stars_till(database_url, ledger) as running:
        yield running


class Alarms:
    """Alarms raised since the test began."""

    def __init__(self) -> None:
        self._before = self._all()

    def __call__(self) -> dict[str, float]:
        now = self._all()
        return {k: n - self._before.get(k, 0) for k, n in now.items() if n > self._before.get(k, 0)}

    @staticmethod
    def _all() -> dict[str, float]:
        return {
            sample.labels["kind"]: sample.value
            for metric in REGISTRY.collect()
            if metric.name == "neurocards_payments_alarms"
            for sample in metric.samples
            if sample.name.endswith("_total")
        }


@pytest.fixture
def alarms() -> Alarms:
    return Alarms()
