"""`neurocards ledger actions|exceptions|sample|access|reads`: an auditor's questions about facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.commands.ledger.events import Types
from services.cli.connections import read, run
from services.cli.options import Limit, Under, read_note
from services.cli.output import Output, OutputFormat, emit, say, say_count
from services.cli.resolve_account import resolve_account
from services.cli.timespec import From, To, period, timed_for

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from services.platform.settings import Settings


def actions(
    actor: Annotated[str, typer.Option(help="A login, `account:ID`, `user:ID`, or a Telegram id (digits).")],
    start: From = None,
    end: To = None,
    limit: Limit = 100,
    output: Output = OutputFormat.table,
) -> None:
    """List what a login, admin or dashboard user did, the newest first.

    Events they caused or appended, models they paused, operations they asked for, people whose data they
    read. What somebody did as a seller has `journal --user`; what a process's login appended is most of the
    log, and is left out.
    """
    who = actor if ":" in actor else f"login:{actor}"
    if actor.isdigit():
        who = f"account:{run('actions', lambda settings: resolve_account(settings, actor))}"
    _answer("actions", output, who, *period(start, end), limit)


def exceptions(
    above: Annotated[int, typer.Option(min=1, max=10**9, help="Grants of so many credits or more.")] = 50,
    start: From = None,
    end: To = None,
    limit: Limit = 100,
    output: Output = OutputFormat.table,
) -> None:
    """List what to look at first: large grants, odd refunds, debts, flagged money.

    `grant`: without a purchase. `refunded_and_delivered`: a video that came after its refund, a gift.
    `refunded_and_spent`: money sent back for credits that were spent. `self_approved`: a change that whoever
    proposed it approved. At most --limit of each.
    """
    _answer("exceptions", output, above, *period(start, end), limit)


def access(output: Output = OutputFormat.table) -> None:
    """List who can log in to this database: roles, since when, last used.

    Of last use Postgres knows what is open now, and our tables what was appended or read of people; an
    auditor's queries leave no trace. `since` is empty for a login made without `COMMENT ON ROLE`. Who gives
    commands in the chat stands in the bot's ADMIN_IDS.
    """
    _answer("logins", output)


def reads(
    user: Annotated[str | None, typer.Option(metavar="USER", help="Only this person's data.")] = None,
    start: From = None,
    end: To = None,
    limit: Limit = 100,
    output: Output = OutputFormat.table,
) -> None:
    """List who read whose data with our program, and why."""
    whose = run("reads", lambda settings: resolve_account(settings, user)) if user else None
    _answer("reads", output, whose, *period(start, end), limit)


def _answer(question: str, output: OutputFormat, *asked: Any) -> None:
    from projections.reports import audit_questions

    rows = read(question, lambda pool, _: getattr(audit_questions, question)(pool, *asked))
    emit([timed_for(row, output) for row in rows], output)
    say_count(
        len(rows), asked[-1] if asked else len(rows) + 1, question if rows else f"{question}: there are none"
    )


def sample(
    seed: Annotated[str, typer.Option(help="Any words; best chosen when the checkpoint was signed already.")],
    size: Annotated[int, typer.Option(min=1, max=1000, help="How many events.")],
    to: Annotated[Path, typer.Option(help="Folder for the proofs, a file each.", show_default=False)],
    types: Types = None,
    checkpoint: Under = None,
    output: Output = OutputFormat.table,
) -> None:
    """Draw a random sample that can be repeated, with a proof each.

    The n-th number drawn is 1 + SHA-256("SEED:n") mod the checkpoint's position, n = 1, 2, …; one that came
    before, or whose event is of another type, is passed over.
    """
    from ledger.checkpoints.checkpoint import parse, require_checkpoint
    from ledger.checkpoints.proof import encode, prove
    from projections.checkpoints import covering_note
    from projections.reports import audit_questions
    from projections.reports.journal import entries

    given = read_note(checkpoint) if checkpoint else None

    async def work(pool: Pool, _: Settings) -> tuple[list[dict[str, Any]], int]:
        note = given or await covering_note(pool, 1)
        covered = require_checkpoint(parse(note)).size
        found = await audit_questions.sample(pool, seed, size, covered, tuple(types or ()))
        to.mkdir(parents=True, exist_ok=True)
        rows = []
        for entry in await entries(pool, found):
            event, file = entry.recorded, to / f"proof-{entry.recorded.position}.json"
            file.write_text(encode(note, await prove(pool, [event.position], note)), encoding="utf-8")
            row = {"position": event.position, "at_us": event.recorded_at_us, "type": event.type}
            rows.append(row | {"account": entry.account, "words": entry.what, "proof": str(file)})
        return rows, covered

    rows, covered = read("sample", work)
    emit([timed_for(row, output) for row in rows], output)
    say(f"{len(rows)} drawn of 1 to {covered} with seed {seed!r}; check each: `ledger verify-proof FILE`")
