"""Postgres fails over by Patroni while orders run: `make chaos-ha`.

Whatever happens to leader or standby, everybody waits and goes on; no commit that was answered is lost.
"""

import asyncio
import contextlib
import random
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger.postgres import DATABASE_ERRORS
from services.local.valkey import EmbeddedValkey
from services.migrations import migrate
from tests.chaos.test_postgres import all_made
from tests.chaos.test_sentinel import figure
from tests.support import patroni, servers
from tests.support.arena.arena import Arena
from tests.support.patroni import PatroniCluster
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos_ha, pytest.mark.timeout(1200)]


@pytest.fixture
def cluster() -> Iterator[PatroniCluster]:
    if (why := patroni.missing()) is not None:
        pytest.skip(f"{why}: no failover of Postgres was tried")
    with servers.short_folder() as folder:
        cluster = PatroniCluster(folder)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


async def settled(cluster: PatroniCluster) -> None:
    """Who does not come back by itself is copied anew."""
    try:
        await eventually(lambda: asyncio.to_thread(cluster.is_settled), 60, interval_s=0.5)
    except AssertionError:
        stuck = await asyncio.to_thread(cluster.reinitialise_stuck)
        sys.stdout.write(f"copied anew: {stuck}\n")
        await eventually(
            lambda: asyncio.to_thread(cluster.is_settled), 120, interval_s=0.5, what=cluster.told
        )


async def leads_to_the_leader(url: str) -> bool:
    """As often as there are hosts: before its first look HAProxy believes in all."""
    with contextlib.suppress(*DATABASE_ERRORS):
        for _ in range(3):
            await (await asyncpg.connect(url)).close()
        return True
    return False


async def orders_during(
    arena: Arena, what: str, strike: Callable[[], Coroutine[Any, Any, None]]
) -> list[str]:
    """Orders one after another, before, while and after; the figure is the longest that a seller waited."""
    jobs: list[str] = []
    waits_s = []
    struck = asyncio.create_task(asyncio.sleep(1))
    for number in range(12):
        if number == 3:
            struck = asyncio.create_task(strike())
        began_s = time.monotonic()
        jobs += (await arena.order()).jobs
        waits_s.append(time.monotonic() - began_s)
        await asyncio.sleep(arena.dice.uniform(0, 0.5))
    await struck
    figure(f"{what}: of 12 orders the slowest took", time.monotonic() - max(waits_s))
    return jobs


async def strike(cluster: PatroniCluster, role: str, signum: signal.Signals) -> patroni.Node:
    """Strike one host, and wait until another leads."""
    node = await asyncio.to_thread(cluster.by_role, role)
    assert node
    node.strike(signum)
    await eventually(lambda: asyncio.to_thread(lambda: cluster.by_role("leader") not in (None, node)), 120)
    return node


@pytest.mark.parametrize("behind", ["several hosts", "HAProxy"])
async def test_orders_while_postgres_changes_hands(
    behind: str,
    cluster: PatroniCluster,
    own_valkey: EmbeddedValkey,
    tmp_path: Path,
    dice: random.Random,
    note: Callable[[str], None],
) -> None:
    await settled(cluster)
    await migrate(cluster.url())
    await servers.let_operator_own(cluster.url())
    if behind == "HAProxy":
        cluster.behind_haproxy()
        await eventually(lambda: leads_to_the_leader(cluster.url()))
    arena = Arena(tmp_path, cluster.url(servers.OPERATOR), own_valkey, dice, note)

    async def dies(role: str) -> None:
        node = await strike(cluster, role, signal.SIGKILL)
        await asyncio.to_thread(node.stop)
        await asyncio.to_thread(node.start)

    async def freezes() -> None:
        """Patroni and Postgres go on as if nothing had been, when another leads."""
        (await strike(cluster, "leader", signal.SIGSTOP)).strike(signal.SIGCONT)

    async with arena.opened(2, SANDBOX_RENDER_SECONDS=1):
        jobs = []
        for what, blow in {
            "the leader killed": lambda: dies("leader"),
            "the leader frozen": freezes,
            "the synchronous standby killed": lambda: dies("sync_standby"),
            "a switchover": cluster.switch_over,
        }.items():
            jobs += await orders_during(arena, f"{what}, {behind}", blow)
            await settled(cluster)
        await all_made(arena, jobs)
