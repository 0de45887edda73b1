"""`neurocards sales pause|resume|status`: the owner's brakes. Each change is one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from services.cli.commands import add_group
from services.cli.connections import acting, decided, execute, read, run
from services.cli.options import DryRun, Reason, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import timed_for

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from ledger.system.commands import PauseSales, ResumeSales
    from services.platform.settings import Settings


def register(app: typer.Typer) -> None:
    commands = {"status": status, "pause": pause, "resume": resume}
    add_group(app, "sales", "Whether anything is sold.", commands)


def status(output: Output = OutputFormat.table) -> None:
    """Show whether orders and payments are taken, and the last word."""
    from events.stream_names import SALES_STREAM
    from ledger.log.reader import LogReader
    from ledger.sql import load_queries
    from projections.reports.event_text import describe_stored

    async def work(pool: Pool, settings: Settings) -> list[dict[str, Any]]:
        log = LogReader(pool)
        closed = (await log.sales()).closed(await pool.fetchval(load_queries("ledger.log")("clock")))
        last = (await log.stream(SALES_STREAM))[-1:]
        return [
            {
                "sales": {None: "open", "paused": "paused", "cap": "over the day's cost cap"}[closed],
                "since_us": last[0].recorded_at_us if last else None,
                "said_last": describe_stored(last[0].type, last[0].data) if last else "",
                "cost_cap_per_day": settings.cost_cap_per_day or None,
                "welcome_cap_per_day": settings.welcome_cap_per_day or None,
            }
        ]

    emit([timed_for(row, output) for row in read("sales", work)], output)


def pause(reason: Reason, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Take no orders and no payments; what was ordered is made, and refunds go on."""
    from ledger.system.commands import PauseSales

    _change(PauseSales(acting("sales"), reason), dry_run, yes)


def resume(reason: Reason, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Sell again; a cost cap that is reached is lifted for the rest of the day."""
    from ledger.system.commands import ResumeSales

    _change(ResumeSales(acting("sales"), reason), dry_run, yes)


def _change(command: PauseSales | ResumeSales, dry_run: bool, yes: bool) -> None:
    from projections.reports.event_text import describe
    from services.platform.ids import new_id

    made = run("sales", lambda settings: decided(settings, command))
    if not made:
        say("it is so already; nothing was changed")
        return
    say(describe(made[0][1]))
    confirm(dry_run, yes)
    receipt = run("sales", lambda settings: execute(settings, command, f"operator:{new_id()}"))
    say(f"done at position {receipt.position}" if receipt.events else "it was so already")
