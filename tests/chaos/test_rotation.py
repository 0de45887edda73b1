"""Every secret is exchanged while sellers order, process by process; docs/rotation.md says the steps.

The bot's token and YooKassa's key are dead as soon as there are new ones; a KIE key retires; callbacks under
the old secret still find tasks whose creation got no answer.
"""

import asyncio
from typing import Any

import pytest

from tests.support.arena.arena import Arena
from tests.support.arena.sellers import Fault

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

BEFORE: dict[str, Any] = {
    "BOT_TOKEN": "111111:token-before",
    "KIE_API_KEYS": "kie-before",
    "CALLBACK_SECRET": "the secret before",
    "YOOKASSA_SECRET_KEY": "test_before",
}
BOTH = {"CALLBACK_SECRET": "the secret before,the secret after that"}
AFTER: dict[str, Any] = {
    "BOT_TOKEN": "111111:token-after",
    "KIE_API_KEYS": "kie-after",
    "KIE_API_KEYS_RETIRING": "kie-before",
    "CALLBACK_SECRET": "the secret after that,the secret before",
    "YOOKASSA_SECRET_KEY": "test_after",
}
LOST = Fault("drop_after_accept", times=1)
WRITER = 42


async def test_nothing_is_lost_while_every_secret_is_exchanged(arena: Arena) -> None:
    sandbox = arena.settings.sandbox_base
    here: dict[str, Any] = {
        "TELEGRAM_API_URL": f"{sandbox}/telegram",
        "KIE_API_URL": f"{sandbox}/kie",
        "KIE_UPLOAD_URL": f"{sandbox}/kie",
        "YOOKASSA_API_URL": f"{sandbox}/yookassa/v3",
        "YOOKASSA_SHOP_ID": arena.settings.yookassa_shop,
        "FORGET_SECRET": "nobody is forgotten here",
    }
    dead = [BEFORE["BOT_TOKEN"], BEFORE["YOOKASSA_SECRET_KEY"]]
    async with arena.opened(2, without=["maintenance"], **here, **BEFORE):
        await arena.sandbox.change(keys_added=dead, render_seconds=8)
        for name in ("maintenance", "bot"):
            arena.begin(name)
        await arena.ready("maintenance", "bot")
        chat = arena.sandbox.chat(WRITER)
        await chat.say("/start")
        await chat.until(lambda chat: chat.from_bot(), 60, "an answer under the first token")

        jobs = await arena.jobs_of(4) + await arena.jobs_of(3, faults=[LOST])
        await exchange(arena, BOTH)
        await arena.sandbox.change(
            keys_added=[AFTER["BOT_TOKEN"], AFTER["YOOKASSA_SECRET_KEY"]], keys_revoked=dead
        )
        seen = chat.seen
        await chat.say("/help")
        jobs += await arena.jobs_of(2, faults=[LOST])
        ordering = asyncio.create_task(order_on(arena, 12))
        await exchange(arena, AFTER)
        await chat.until(lambda chat: chat.news(seen), 60, "an answer to what came while no token was good")
        jobs += await ordering

        await arena.sandbox.change(render_seconds=0.3)
        await arena.succeeded(jobs)
        await arena.sandbox.change(keys_revoked=[*dead, "kie-before"])
        jobs += await arena.jobs_of(2)
        await arena.all_made(jobs)
        assert {task["key"] for task in await arena.tasks()} == {"kie-before", "kie-after"}
        assert await arena.log_watch.pool.fetchval("SELECT count(*) FROM updates") == 0, (
            "an update was parked"
        )


async def exchange(arena: Arena, env: dict[str, str]) -> None:
    """Restart one after another with other settings, as `docker compose up` does."""
    for name, process in arena.running.items():
        if name != "sandbox":
            process._env |= env
            await asyncio.to_thread(process.restart)


async def order_on(arena: Arena, count: int) -> list[str]:
    jobs: list[str] = []
    for _ in range(count):
        jobs += await arena.jobs_of(1)
        await asyncio.sleep(0.5)
    return jobs
