"""`neurocards recover`: reconcile everything with a log that went back in time."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.connections import acting, open_servers, run
from services.cli.errors import ExitCode
from services.cli.options import DryRun, Reason, Yes, confirm, read_note
from services.cli.output import Output, OutputFormat, emit, say

if TYPE_CHECKING:
    from services.platform.settings import Settings
    from services.recovery.plan import Step


def register(app: typer.Typer) -> None:
    app.command("recover")(recover)


def recover(
    reason: Reason,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A signed note kept elsewhere, as evidence; several times.", show_default=False),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Recover after a restore, failover to a lagging replica, or Redis loss.

    Compares everything that remembers a place with the log, shows what it will do, does it, and signs a
    statement that explains older checkpoints. Safe to repeat. Services may run meanwhile.
    """

    notes = [read_note(path) for path in checkpoint or ()]

    def decide(rows: list[dict[str, str]], nothing_to_do: bool) -> None:
        emit(rows, output)
        if nothing_to_do:
            say("everything is in line with the log; there is nothing to do")
        else:
            confirm(dry_run, yes)

    actor = acting("recover")
    unexplained = run("recover", lambda settings: recover_here(settings, notes, actor, reason, decide))
    for words in unexplained:
        say(words)
    if unexplained:
        raise typer.Exit(ExitCode.INTEGRITY)


async def recover_here(
    settings: "Settings", notes: list[str], actor: str, reason: str, decide: Any
) -> tuple[str, ...]:
    """Plan, let `decide` see rows and whether nothing is to do, repair; returns what stays unexplained."""
    from msgspec.structs import replace

    from ledger.log.primary import primary_of
    from services.platform.primary_mark import forget_primary, leads_elsewhere
    from services.recovery import checkpoint_files as files
    from services.recovery.apply import Repair, rows
    from services.recovery.plan import make_plan

    signers, folder = files.signing_keys(settings), files.folder(settings)
    notes = [*notes, *files.kept_notes(folder)]
    keys, reach_back = [key.public for key in signers], settings.stream_recover_events
    say("comparing everything that remembers a place with the log; a long log takes some seconds")
    async with open_servers(settings, "recover") as servers:
        pool, scripts = servers.pool, servers.scripts
        plan = await make_plan(pool, scripts, notes=notes, keys=keys, reach_back=reach_back)
        later = await leads_elsewhere(scripts.redis, await primary_of(pool))
        shown = replace(plan, steps=(*plan.steps, _primary_step(later))) if later else plan
        decide(rows(shown), shown.nothing_to_do)
        if not plan.nothing_to_do:
            repair = Repair(
                pool, scripts, database_url=settings.require_database_url(), folder=folder, keys=signers,
                reach_back=reach_back, say=say,
            )  # fmt: skip
            await repair.run(plan, actor, reason)
        if later:
            await forget_primary(scripts.redis)
        return plan.unexplained


def _primary_step(later: int) -> "Step":
    from services.recovery.plan import Step

    found = f"timeline {later}, later than that of DATABASE_URL, was told to Redis"
    return Step("primary", found, "forget it: the one of DATABASE_URL leads")
