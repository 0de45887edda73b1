"""Hints: what changed is told to who listens, until the session ends or the page is left."""

import asyncio

import pytest
from aiohttp import ClientResponse

from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from services.dashboard import live
from services.platform.settings import Settings
from tests.support.dashboard import open_pages
from tests.support.traffic import Traffic
from tests.support.waiting import PATIENCE_S, eventually


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.05)


async def told(response: ClientResponse, wanted: bytes) -> None:
    """Read until this line comes. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        async for line in response.content:
            if line == wanted:
                return
    raise AssertionError(f"the stream ended before {wanted!r}")


async def test_who_listens_is_told_what_changed_until_their_session_ends(
    pool: Pool, ledger: Ledger, settings: Settings, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SESSION_S", 0.0)
    await traffic.open_accounts(1)
    async with open_pages(pool, ledger, settings) as client:
        one, other = await client.get("/live"), await client.get("/live")
        assert one.headers["Content-Type"].startswith("text/event-stream")
        hints = client.app[live.HINTS]
        for _ in range(2):  # the second comes after the first poll, of which nothing is told
            await told(one, b":\n")
        await traffic.pay()
        await told(one, b"data: log\n")
        await told(other, b"data: log\n")

        async def nobody(_: object) -> None:
            return None

        hints.authenticate = nobody
        async with asyncio.timeout(PATIENCE_S):
            await one.content.read()
            await other.content.read()
        await eventually(lambda: not hints.listeners)


async def test_streams_are_bounded_and_a_left_page_makes_room(
    pool: Pool, ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STREAMS_OF_USER_MAX", 2)
    async with open_pages(pool, ledger, settings) as client:
        one, _ = await client.get("/live"), await client.get("/live")
        assert (await client.get("/live")).status == 503
        one.close()
        hints = client.app[live.HINTS]
        await eventually(lambda: len(hints.listeners) == 1)
        assert (await client.get("/live")).status == 200
