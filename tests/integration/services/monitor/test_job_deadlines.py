"""Past its deadline a job fails and is refunded exactly once, whoever else is at it."""

from typing import TYPE_CHECKING

import asyncpg
import pytest

from ledger.errors import LedgerUnavailableError
from ledger.log.ledger import Ledger
from services.monitor.job_deadlines import DeadlineSweep, Swept
from tests.integration.services.maintenance.conftest import overdue
from tests.support.order_fixture import OrderFixture

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


async def test_a_postgres_that_is_away_is_said_and_the_next_sweep_goes_on(
    studio: OrderFixture, ledger: Ledger, pool: "Pool", monkeypatch: pytest.MonkeyPatch
) -> None:
    await overdue(studio, 3)
    sweep = DeadlineSweep(ledger, pool)

    async def away(*_: object, **__: object) -> None:
        raise LedgerUnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "execute", away)
        with pytest.raises(LedgerUnavailableError):
            await sweep.run_once()
    assert await sweep.run_once() == Swept(found=3, failed=3)
