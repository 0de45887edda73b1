"""`neurocards operations list|run`: what people asked of the dashboard; rebuilds of read models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.commands import add_group
from services.cli.connections import prepare, read
from services.cli.options import Limit
from services.cli.output import Output, OutputFormat, emit, say, say_count
from services.cli.timespec import timed_for

if TYPE_CHECKING:
    from services.operations.runner import Operation, Tell
    from services.platform.settings import Settings

WAIT_S = 2.0


def register(app: typer.Typer) -> None:
    add_group(app, "operations", "What people asked of the dashboard.", {"list": list_operations, "run": run})


def list_operations(limit: Limit = 50, output: Output = OutputFormat.table) -> None:
    """List operations, the newest first: who, why, how far."""
    from services.operations.runner import newest

    rows = read("operations", lambda pool, _: newest(pool, limit))
    emit([timed_for(row, output) for row in rows], output)
    say_count(len(rows), limit, "operations")


def run(
    wait: Annotated[bool, typer.Option("--wait", help="Go on for those to come, until Ctrl-C.")] = False,
) -> None:
    """Rebuild the read models that users of the dashboard asked for. Needs DATABASE_OWNER_URL.

    No process that is always there has the owner's rights. All other operations are carried out by
    `maintenance`, erasures by `bot`.
    """
    import asyncio

    rebuilt = asyncio.run(_run(prepare("operations"), wait))
    say(f"{rebuilt} operations were carried out")


async def _run(settings: Settings, wait: bool) -> int:
    import asyncio

    from services.operations.runner import OperationRunner
    from services.platform.database import create_pool

    carried_out, stop = 0, asyncio.Event()
    async with await create_pool(settings, "operator", max_size=2) as pool:
        runner = OperationRunner(pool, {"rebuild": rebuild_step(settings)}, stop)
        while (done := await runner.run_once()) or wait:
            carried_out += done
            if not done:
                await asyncio.sleep(WAIT_S)
    return carried_out


def rebuild_step(settings: Settings) -> Any:
    """Step that rebuilds a read model, from where a killed one was."""
    from projections.engine.errors import NothingOfThatNameError
    from projections.engine.registry import PROJECTIONS
    from projections.rebuild.run import RebuildOptions, rebuild_all

    async def step(taken: Operation, name: str, tell: Tell) -> None:
        if name not in PROJECTIONS:
            raise NothingOfThatNameError(f"there is no read model {name!r}")
        accepted = taken.argument == "accept"
        options = RebuildOptions(accept=lambda *_: accepted, resume=taken.claims > 1)

        def progress(position: int, target: int) -> None:
            tell(f"{position:,} of {target:,} events")

        (done,) = await rebuild_all(settings.require_owner_url(), [name], options, progress=progress)
        position, rows = done.state.cursor.position, done.differences.rows
        outcome = "swapped in" if done.swapped else "not swapped"
        tell(f"{outcome} at position {position:,}, {rows:,} rows differed")

    return step
