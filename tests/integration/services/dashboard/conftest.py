"""The dashboard with its own database login, so that a right that is missing is found."""

from collections.abc import AsyncIterator

import pytest

from ledger.log.ledger import Ledger
from services.dashboard.pages import ROUTES
from services.platform.database import create_pool, reading_pool
from services.platform.settings import Settings
from tests.support.dashboard import open_door
from tests.support.dashboard_login import Door


@pytest.fixture
def own(settings: Settings) -> Settings:
    """Settings with the login of the process."""
    return settings.replace(
        database_url=settings.require_database_url().replace("neurocards_operator@", "neurocards_dashboard@"),
        dashboard_trusted_proxy="127.0.0.1",
    )


@pytest.fixture
async def door(own: Settings, ledger: Ledger) -> AsyncIterator[Door]:
    async with await create_pool(own, "test") as writing, await reading_pool(own, "test") as pool:
        yield lambda routes=ROUTES, **changes: open_door(
            pool, writing, ledger, own.replace(**changes), routes=routes
        )
