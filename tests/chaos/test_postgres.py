"""Scenario 5: Postgres is killed, restarted, cuts its connections, has none left, or does not answer.

Everybody waits and goes on; nobody ends. A commit whose answer was lost is never doubled.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest

from services.local import postgres
from tests.support.arena.arena import Arena

pytestmark = pytest.mark.timeout(600)

JOBS = 10

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

CUT = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
           AND application_name <> 'neurocards-log-watch'"""


@pytest.fixture(autouse=True)
def few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a server of one's own, so that they can be used up."""
    monkeypatch.setitem(postgres._FORGETFUL, "max_connections", "60")


@contextlib.asynccontextmanager
async def owner_of(arena: Arena) -> AsyncIterator["Connection"]:
    """A connection with the owner's rights, not one of ours."""
    owner = await asyncpg.connect(arena.settings.require_database_url())
    try:
        yield owner
    finally:
        await owner.close()


async def orders(arena: Arena, jobs: int = JOBS) -> list[str]:
    """Orders over a few seconds; a seller's order waits out what is wrong, as the bot's does."""
    found: list[str] = []
    sellers = [await arena.sellers.new() for _ in range(4)]
    for number in range(jobs):
        await asyncio.sleep(arena.dice.uniform(0, 0.3))
        found += (await arena.order(sellers[number % 4])).jobs
    return found


async def all_made(arena: Arena, jobs: list[str]) -> None:
    await arena.all_made(jobs)
    assert all(process.running for process in arena.running.values()), "somebody ended over this"


@pytest.mark.chaos
async def test_postgres_is_killed_and_restarted(
    arena_of_its_own: Arena, own_postgres: postgres.EmbeddedPostgres
) -> None:
    arena = arena_of_its_own
    async with arena.opened(2, SANDBOX_RENDER_SECONDS=1):

        async def strikes() -> None:
            for how in arena.dice.sample((signal.SIGKILL, signal.SIGINT), 2):
                await asyncio.sleep(arena.dice.uniform(0.3, 1.5))
                assert own_postgres.pid is not None
                os.kill(own_postgres.pid, how)
                await asyncio.sleep(arena.dice.uniform(0, 1))
                await asyncio.to_thread(own_postgres.start)

        jobs, _ = await asyncio.gather(orders(arena), strikes())
        await all_made(arena, jobs)


@pytest.mark.chaos
async def test_its_backends_are_killed_again_and_again(arena: Arena) -> None:
    async with arena.opened(2, SANDBOX_RENDER_SECONDS=1):

        async def cuts() -> None:
            async with owner_of(arena) as owner:
                for _ in range(10):
                    await asyncio.sleep(arena.dice.uniform(0.1, 0.5))
                    await owner.execute(CUT)

        jobs, _ = await asyncio.gather(orders(arena), cuts())
        await all_made(arena, jobs)


@pytest.mark.chaos
async def test_it_has_no_connection_left(arena_of_its_own: Arena) -> None:
    """Everyone loses theirs, and somebody else takes them all for two seconds."""
    arena = arena_of_its_own
    async with arena.opened(2, SANDBOX_RENDER_SECONDS=1):

        async def exhaust() -> None:
            await asyncio.sleep(arena.dice.uniform(0.5, 1.5))
            async with contextlib.AsyncExitStack() as taken:
                owner = await taken.enter_async_context(owner_of(arena))
                loop = asyncio.get_running_loop()
                until = loop.time() + 2
                while loop.time() < until:
                    with contextlib.suppress(asyncpg.TooManyConnectionsError):
                        while True:
                            await taken.enter_async_context(owner_of(arena))
                    await owner.execute(CUT + " AND application_name LIKE 'neurocards%'")

        jobs, _ = await asyncio.gather(orders(arena), exhaust())
        await all_made(arena, jobs)


@pytest.mark.chaos
async def test_every_pool_is_used_up(arena: Arena) -> None:
    """Statements hang on a lock, so nobody gets a connection from their own pool."""
    async with arena.opened(2, SANDBOX_RENDER_SECONDS=1):
        jobs = await arena.jobs_of(20)
        async with owner_of(arena) as owner, owner.transaction():
            await owner.execute("LOCK TABLE texts, deliveries, cursors IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(arena.dice.uniform(2, 3))
        await all_made(arena, jobs)
