"""With KIE_WEBHOOK_HMAC_KEY only what the provider has signed is looked at; hints hold nobody up."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from ledger.log.ledger import Ledger
from services.platform.periodic import repeat
from services.platform.redis import command_client
from services.platform.settings import Settings, load_settings
from services.streams import wake
from services.streams.wake import WAITING_MAX, Waker
from services.web.kie_webhook import signature
from tests.integration.services.web.conftest import OK, PUBLIC, Browser, ScriptedKie, finished, task_of
from tests.support.waiting import eventually

KEY = "hmac-key-of-kie"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.replace(kie_webhook_hmac_key=KEY)


def signed(task: str, *, late_s: float = 0, key: str = KEY) -> dict[str, str]:
    timestamp = str(int(time.time() - late_s))
    return {
        "X_Webhook_Timestamp": timestamp,
        "X_Webhook_Signature": signature(key.encode(), task, timestamp),
    }


async def test_what_the_provider_signed_is_taken(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    provider.made("t1", PUBLIC + browser.path(job))
    for _ in range(2):
        assert await browser.call_back(browser.path(job), finished("t1"), **signed("t1")) == (200, OK)
    assert await task_of(ledger, job) == "t1"
    assert len(provider.reads) == 1 and browser.hinted == [job, job]


async def test_anything_else_is_not_even_looked_at(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    provider.made("t1", PUBLIC + browser.path(job))
    head = await ledger.read.head()
    calls: list[tuple[Any, dict[str, str]]] = [
        (finished("t1"), {}),
        (finished("t1"), signed("t1", key="another")),
        (finished("t1"), signed("t2")),
        (finished("t1"), signed("t1", late_s=400)),
        (finished("t1"), signed("t1", late_s=-400)),
        (b"{", signed("t1")),
    ]
    with capture_logs() as logs:
        for body, headers in calls:
            assert (await browser.call_back(browser.path(job), body, **headers))[0] == 401
    flaws = [line["flaw"] for line in logs if line["event"] == "callback_not_signed"]
    assert flaws == ["missing", "wrong", "wrong", "stale", "stale", "missing"]
    assert not provider.reads and not browser.hinted
    assert await ledger.read.head() == head


async def test_a_signature_does_not_open_a_wrong_address(job: str, browser: Browser) -> None:
    path = browser.path(job, 2)[:-1]
    assert (await browser.call_back(path, finished("t1"), **signed("t1")))[0] == 404


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with command_client(load_settings(redis_url=redis_url)) as client:
        yield client


async def test_a_hint_reaches_who_listens(redis: Redis) -> None:
    heard: list[str] = []
    waker = Waker(redis)
    tasks = [
        asyncio.create_task(wake.listen(redis, heard.append, lambda: None)),
        asyncio.create_task(repeat(waker.send, asyncio.Event(), "wake", idle_s=60, wake=waker.wake)),
    ]

    async def hint() -> bool:
        waker.hint("j1")  # again, until somebody listens
        return bool(heard)

    await eventually(hint)
    assert set(heard) == {"j1"}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_while_redis_is_away_nobody_waits_for_it() -> None:
    redis = command_client(load_settings(redis_url="redis://127.0.0.1:1"))
    waker = Waker(redis)
    for number in range(3000):  # more than are put aside
        waker.hint(f"j{number}")
    assert len(waker._jobs) == WAITING_MAX
    assert await waker.send() == 0 and not waker._jobs
    await redis.aclose()
    without = Waker(None)
    without.hint("j1")
    assert await without.send() == 0 and not without._jobs
