"""Runs a rebuild for `neurocards replay`: low priority, progress, tidy end."""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import structlog
import uvloop

from projections.engine.state_root import StateRoot
from projections.rebuild.as_of import Into, build_at
from projections.rebuild.compare import Differences
from projections.rebuild.fill import Progress, Source
from projections.rebuild.run import RebuildOptions, RebuildResult, rebuild_all
from projections.reports.log_position import AsOf, locate
from services.cli.connections import prepare
from services.cli.output import say
from services.cli.progress import walks
from services.platform.database import patient_pool
from services.platform.redis import command_client
from services.platform.settings import Settings
from services.streams.log_source import StreamSource

T = TypeVar("T")

Through = Callable[[Source], Source]
"""Makes the source of events out of the log's own; None: the log it is."""

NICENESS = 10
_PART = "events"

logger = structlog.get_logger()


class Replayed(msgspec.Struct, Generic[T]):
    """A result, with its events from the stream and from Postgres; None: not asked."""

    done: list[T]
    streamed: int | None = None
    filled: int = 0


def run_replay(
    names: list[str],
    accept: Callable[[StateRoot, Differences], bool],
    *,
    from_stream: bool,
    check: bool,
    resume: bool,
    show: int,
    why: str,
) -> Replayed[RebuildResult]:
    """Raises StartError and what `projections.rebuild.run` raises."""

    async def work(settings: Settings, source: Through | None, progress: Progress) -> list[RebuildResult]:
        options = RebuildOptions(
            check=check, accept=accept, resume=resume, show=show, source=source, tell=say
        )
        done = await rebuild_all(settings.require_owner_url(), names, options, progress=progress)
        for one in done:
            if one.swapped and one.differences.rows:
                position, rows = one.state.cursor.position, one.differences.rows
                logger.warning(
                    "difference_accepted", projection=one.state.name, position=position, rows=rows, why=why
                )
        return done

    return _run(work, from_stream=from_stream)


def run_at(
    names: list[str], point: AsOf, schema: str, folder: Path | None, *, from_stream: bool
) -> Replayed[StateRoot]:
    """Build as of a moment, aside. Raises StartError, NothingOfThatNameError, TargetTakenError."""

    async def work(settings: Settings, source: Through | None, progress: Progress) -> list[StateRoot]:
        async with await patient_pool(settings, "replay") as pool:
            at = await locate(pool, point)
        into = Into(schema, folder)
        url = settings.require_owner_url()
        return await build_at(url, names, at.position, into, source=source, progress=progress)

    return _run(work, from_stream=from_stream)


def _run(
    work: Callable[[Settings, Through | None, Progress], Awaitable[list[T]]], *, from_stream: bool
) -> Replayed[T]:
    settings = prepare("replay")
    _make_way()
    return uvloop.run(_guarded(settings, work, from_stream))


async def _guarded(settings: Settings, work: Any, from_stream: bool) -> Replayed[Any]:
    """Run the work with its source; SIGTERM ends it as Ctrl-C does."""
    this = asyncio.current_task()
    assert this is not None
    with suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    used: list[StreamSource] = []
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(command_client(settings)) if from_stream else None

        def source(log: Source) -> Source:
            assert redis is not None
            used.append(StreamSource(redis, log))
            return used[-1]

        done = await work(settings, source if from_stream else None, _bar(stack))
    return Replayed(done, used[0].streamed if used else None, used[0].filled if used else 0)


def _bar(stack: AsyncExitStack) -> Progress:
    walk: Callable[[str, int], None] | None = None

    def show(position: int, target: int) -> None:
        nonlocal walk
        walk = walk or stack.enter_context(walks("replay", [_PART], position, target))
        walk(_PART, position)

    return show


def _make_way() -> None:
    """Yield to the live system; collect garbage rarely: folding millions of events makes no cycles."""
    with suppress(OSError):
        os.nice(NICENESS - os.nice(0))
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
