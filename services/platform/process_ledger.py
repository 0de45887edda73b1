"""The ledger of a process: opened, its clocks compared from then on, its start recorded."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import nan
from typing import Final

import msgspec
import structlog

from ledger.errors import ClockDoubtError, TwoPrimariesError
from ledger.log.clock import wall_us
from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from services.platform.database import create_pool
from services.platform.errors import StartError
from services.platform.metrics import CLOCK_AHEAD, CLOCK_DOUBT, LOG_AHEAD
from services.platform.periodic import repeat
from services.platform.primary_fence import MakeMark, PrimaryFence
from services.platform.process import Runtime
from services.platform.settings import Settings
from services.platform.system_start import record_start
from services.platform.witness import WITNESS

logger = structlog.get_logger()

LOOK_S: Final = 5.0
"""How often it is looked whether another primary leads by now."""
COMPARE_S: Final = 15.0
"""A time that others tell is heard by who has no witness while it is fresh: 90 s, by `ledger.clocks`."""


@asynccontextmanager
async def open_ledger(
    settings: Settings, name: str, *, max_size: int = 8, mark: MakeMark | None = None
) -> AsyncIterator[tuple[Ledger, Pool]]:
    """A ledger to write to and a pool to read from. Raises StartError with what to do.

    `mark`: where processes tell each other which primary they follow.
    """
    url = settings.require_database_url()
    fence = PrimaryFence(url, mark(settings, name).published if mark else None)
    async with (
        await create_pool(settings, name, max_size=max_size) as pool,
        Ledger(url, pool, witness=WITNESS.now_us, fence=fence) as ledger,
    ):
        await ledger.clocks()
        yield ledger, pool


@asynccontextmanager
async def start_ledger(
    settings: Settings,
    runtime: Runtime,
    *,
    max_size: int = 8,
    ask: Callable[[Settings], Awaitable[None]] | None = None,
    mark: MakeMark | None = None,
) -> AsyncIterator[tuple[Ledger, Pool]]:
    """`open_ledger` for a process that tells the log first that it starts.

    Waits while no clock is believed, and ends with TwoPrimariesError once a later primary is known. `ask`
    makes an outside company tell the time when nobody has lately; None: this process has no network.
    """

    async def compare() -> int:
        await compare_clocks(ledger, settings, ask)
        return 0

    async def look() -> int:
        try:
            await ledger.check_primary()
        except TwoPrimariesError as error:  # no outage: waiting does not help
            raise StartError(str(error)) from error
        return 0

    async with open_ledger(settings, runtime.service, max_size=max_size, mark=mark) as (ledger, pool):
        runtime.health.check("postgres", lambda: pool.fetchval("SELECT 1"))
        await compare()
        runtime.spawn(repeat(compare, runtime.stop, "clocks", idle_s=COMPARE_S), "clocks")
        runtime.spawn(repeat(look, runtime.stop, "primary", idle_s=LOOK_S), "primary")
        while not runtime.stop.is_set():
            try:
                await record_start(ledger, settings, runtime.service)
                break
            except ClockDoubtError as error:
                logger.error("start_waits", reason=str(error))
        yield ledger, pool


async def compare_clocks(
    ledger: Ledger, settings: Settings, ask: Callable[[Settings], Awaitable[None]] | None = None
) -> None:
    """Compare the clocks and measure by how much they differ. Raises what asyncpg raises."""
    clocks = await ledger.clocks()
    if clocks.witness_us is None and ask is not None:
        await ask(settings)
        clocks = await ledger.clocks()
    witness_us, head_us = clocks.witness_us, clocks.head_us
    LOG_AHEAD.set((head_us - clocks.clock_us) / 1e6 if head_us else nan)
    CLOCK_AHEAD.labels("process").set((clocks.clock_us - wall_us()) / 1e6)
    CLOCK_AHEAD.labels("witness").set(nan if witness_us is None else (clocks.clock_us - witness_us) / 1e6)
    CLOCK_DOUBT.set(clocks.outcome in ("doubt", "gap"))
    if clocks.outcome != "ok":
        logger.warning("clocks_differ", **msgspec.structs.asdict(clocks))
