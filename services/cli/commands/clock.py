"""`neurocards clock show|confirm|correct`: what time it is, and putting right what a wrong clock did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.commands import add_group
from services.cli.connections import acting, open_ledger, run
from services.cli.errors import ExitCode
from services.cli.options import DryRun, Reason, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import gap, iso, time_us, timed_for

if TYPE_CHECKING:
    from ledger.log.ledger import Ledger
    from services.platform.settings import Settings

To = Annotated[
    str, typer.Option("--to", metavar="TIME", help="What time it is by another clock, to the second.")
]

Wrong = dict[str, Any]
"""A row of `clock_wrong`: what is to be done about the event at `position`."""


def register(app: typer.Typer) -> None:
    add_group(app, "clock", "The log's time.", {"show": show, "confirm": approve, "correct": correct})


def show(output: Output = OutputFormat.table) -> None:
    """Show what the clocks say, and which is believed."""
    from msgspec.structs import asdict

    async def work(settings: Settings) -> Wrong:
        async with open_ledger(settings) as (ledger, _):
            return asdict(await ledger.clocks())

    emit([timed_for(run("clock", work), output)], output)


def approve(dry_run: DryRun = False, yes: Yes = False) -> None:
    """Say that the database's clock is right; believed for ten minutes.

    After a day without events and without network nothing is appended before somebody has.
    """

    async def work(settings: Settings) -> int:
        async with open_ledger(settings) as (ledger, pool):
            say(f"the database's clock says {iso((await ledger.clocks()).clock_us)}")
            confirm(dry_run, yes)
            return int(await pool.fetchval("SELECT ledger.confirm_clock()"))

    say(f"confirmed at {iso(run('clock', work))}")


def correct(
    to: To, reason: Reason, dry_run: DryRun = False, yes: Yes = False, output: Output = OutputFormat.table
) -> None:
    """Take the log's time back, and put right what followed.

    The database's clock must be right by now, and agree with --to. Asking again finishes what a crash left.
    5: some of it was refused.
    """
    from events.errors import NeurocardsError
    from ledger.log.clock import uptime_us
    from ledger.sql import load_queries

    offset_us, actor, query = time_us(to, "--to") - uptime_us(), acting("clock"), load_queries(__package__)

    async def work(settings: Settings) -> int:
        async with open_ledger(settings) as (ledger, pool):

            async def wrong(ahead: bool) -> list[Wrong]:
                longest_us = int(settings.job_deadline_seconds * 1e6)
                return [dict(row) for row in await pool.fetch(query("clock_wrong"), ahead, longest_us)]

            emit([timed_for(row, output) for row in await wrong(True)], output)
            confirm(dry_run, yes)
            done = await pool.fetchrow(query("clock_correct"), uptime_us() + offset_us, reason)
            assert done is not None
            if done["outcome"] == "doubt":
                say(f"the database's clock says {iso(done['clock_us'])}; set the wrong one right first")
                raise typer.Exit(ExitCode.FAILURE)
            if done["outcome"] == "later":
                back = gap((done["head_us"] - done["clock_us"]) / 1e6)
                say(f"the log's time went back by {back} at position {done['position']}")
            refused = 0
            for row in await wrong(False):
                try:
                    await _put_right(ledger, settings, row, actor, reason)
                except NeurocardsError as error:
                    refused += 1
                    say(f"{row['what']}, {row['object']} of {row['account']}: {error}")
            say(f"{await pool.fetchval(query('clock_future'))} times of the future set to now")
            return refused

    if run("clock", work):
        raise typer.Exit(ExitCode.PARTLY)
    say("done; next: neurocards ledger verify")


async def _put_right(ledger: Ledger, settings: Settings, wrong: Wrong, actor: str, reason: str) -> None:
    """Do it, idempotently. Raises the ledger's rejections."""
    from contextlib import suppress

    from events.job import Failure
    from ledger.commands import FailJob, GrantCredits
    from ledger.errors import JobFinishedError, KeyReusedError
    from services.payments.tracking_store import TrackingStore

    what, position, account, it, amount, until_us, name = wrong.values()
    command: GrantCredits | FailJob
    if what == "watch again":
        return await TrackingStore(ledger.read.pool, first_look_s=0).watch(it, "", account, name)
    if what == "give back":
        lot, key = int(it.removeprefix("lot ")), f"clock:{position}"
        command = GrantCredits(
            account, amount, "correction", reason, key, until_us, None, actor, lot, name or ""
        )
    elif what == "fail and refund":
        failure, life_s = Failure("our_fault", "clock"), settings.refund_life_seconds
        command = FailJob(it, account, "operator", failure, None, life_s, actor, reason)
    else:
        return None
    with suppress(KeyReusedError, JobFinishedError):  # done for another reason, or ended by itself
        await ledger.execute(command, key=f"clock:{position}")
