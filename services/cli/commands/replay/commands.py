"""`neurocards replay`: rebuild read models from the log, or as of an earlier time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import shell_completion
from services.cli.connections import acting
from services.cli.errors import ExitCode
from services.cli.options import DryRun, Yes, confirm, said
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import METAVAR, period

if TYPE_CHECKING:
    from projections.engine.state_root import StateRoot
    from projections.rebuild.compare import Differences
    from projections.rebuild.run import RebuildResult
    from services.cli.commands.replay.actions import Replayed

ALL = "all"
SCHEMA = "schema:"

Names = Annotated[
    list[str],
    typer.Argument(
        metavar="PROJECTION|all", autocompletion=shell_completion.projections_or_all,
        help="Read models by name; they share one pass.",
    ),
]  # fmt: skip
FromStream = Annotated[
    bool,
    typer.Option(
        "--from-stream", help="Read Redis, and Postgres for what is trimmed there; the chain is checked."
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--to", metavar=METAVAR,
        help="What was believed after a position, which counts, or before a time. The live tables stay.",
    ),
]  # fmt: skip
Where = Annotated[
    str | None,
    typer.Option(
        "--into", metavar="FOLDER|schema:NAME",
        help="With --to: the rows as FOLDER/PROJECTION.jsonl or a table in a schema. Default: the root only.",
    ),
]  # fmt: skip
Check = Annotated[bool, typer.Option("--check", help="Compare only; 3 when a row differs.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with what a killed replay has left, instead of dropping it.")
]
Accept = Annotated[
    bool,
    typer.Option("--accept-difference", help="Swap in also what differs; asks, and needs --reason."),
]
Show = Annotated[
    int, typer.Option("--show", min=0, max=10_000, help="Rows that differ, shown field by field.")
]
Reason = Annotated[str, typer.Option("--reason", callback=said, help="Why it is accepted. Nothing personal.")]


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)


def replay(
    names: Names,
    from_stream: FromStream = False,
    until: Until = None,
    into: Where = None,
    check: Check = False,
    resume: Resume = False,
    accept_difference: Accept = False,
    reason: Reason = "",
    show: Show = 20,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Rebuild read models beside the live ones, compare row by row, swap.

    What does not differ is swapped without asking: it cannot be seen. 3 when something differs; it is not
    swapped then. Ctrl-C leaves nothing behind.
    """
    from services.cli.commands.replay.actions import run_replay

    chosen = _names(names)
    if until is not None:
        if check or resume or accept_difference:
            raise typer.BadParameter("builds aside: nothing is compared or swapped", param_hint="--to")
        _replay_at(chosen, until, into, from_stream, output)
        return
    if into is not None:
        raise typer.BadParameter(
            "only with --to; else it is the live tables' next version", param_hint="--into"
        )
    if accept_difference and not reason:
        raise typer.BadParameter("needs --reason", param_hint="--accept-difference")
    accepting = _Accepting(accept_difference, yes)
    replayed = run_replay(
        chosen,
        accepting,
        from_stream=from_stream,
        check=check or dry_run,
        resume=resume,
        show=show,
        why=f"{acting('replay')}: {reason}" if accept_difference else "",
    )
    _emit_all(replayed.done, output)
    _tell_source(replayed)
    if accepting.unconfirmed:
        raise typer.Exit(ExitCode.USAGE)
    if any(done.differences.rows and not done.swapped for done in replayed.done):
        raise typer.Exit(ExitCode.INTEGRITY)


def _replay_at(
    names: list[str], until: str, into: str | None, from_stream: bool, output: OutputFormat
) -> None:
    from services.cli.commands.replay.actions import run_at

    at = run_at(names, period(None, until)[1], *_into(into), from_stream=from_stream)
    emit([_root(state) for state in at.done], output)
    _tell_source(at)


class _Accepting:
    """Asks, where it may, whether a differing table shall be swapped in."""

    def __init__(self, wanted: bool, yes: bool) -> None:
        self._wanted = wanted
        self._yes = yes
        self.unconfirmed = False

    def __call__(self, state: StateRoot, differences: Differences) -> bool:
        if not self._wanted:
            return False
        for field in differences.shown:
            say(f"{state.name} {field.key}, {field.column}: {field.live!r} becomes {field.rebuilt!r}")
        say(f"{state.name}: {differences.rows} rows differ at position {state.cursor.position}")
        try:
            confirm(False, self._yes)
        except typer.Exit:
            self.unconfirmed = True
            return False
        return True


def _names(names: list[str]) -> list[str]:
    from projections.engine.registry import PROJECTIONS

    if names == [ALL]:
        return list(PROJECTIONS)
    for name in names:
        if name not in PROJECTIONS:
            known = ", ".join([*PROJECTIONS, ALL])
            raise typer.BadParameter(f"there is no {name!r}; there are {known}", param_hint="PROJECTION")
    return list(dict.fromkeys(names))


def _into(into: str | None) -> tuple[str, Path | None]:
    from projections.rebuild.as_of import schema_name

    if into is None:
        return "", None
    if not into.startswith(SCHEMA):
        return "", Path(into)
    schema = into.removeprefix(SCHEMA)
    if not schema_name(schema):
        raise typer.BadParameter(f"{schema!r} cannot be a schema for this", param_hint="--into")
    return schema, None


def _root(state: StateRoot) -> dict[str, Any]:
    return {
        "projection": state.name,
        "position": state.cursor.position,
        "rows": state.rows,
        "root": state.root,
    }


def _emit_all(done: list[RebuildResult], output: OutputFormat) -> None:
    rows = [_root(one.state) | _outcome(one) for one in done]
    if output is OutputFormat.table:
        for row in rows:
            row["live_root"] = "the same" if row["live_root"] == row["root"] else row["live_root"]
    fields = [_fields(one) for one in done]
    if output is not OutputFormat.table:
        emit([row | {"differences": shown} for row, shown in zip(rows, fields, strict=True)], output)
        return
    emit(rows, output)
    for one, shown in zip(done, fields, strict=True):
        if shown:
            emit(shown, output, title=f"{one.state.name}, live and rebuilt")
            more = one.differences.rows - len(one.differences.keys)
            if more:
                say(f"{one.state.name}: {more} rows more differ; --show shows more")


def _outcome(one: RebuildResult) -> dict[str, Any]:
    live = one.live.root if one.live is not None else None
    outcome = "swapped in" if one.swapped else "differs" if one.differences.rows else "same"
    return {
        "live_root": live,
        "differing_rows": one.differences.rows,
        "outcome": outcome,
        "resumed_at": one.resumed_at or None,
        "seconds": round(one.seconds, 1),
    }


def _fields(one: RebuildResult) -> list[dict[str, Any]]:
    return [
        {"key": field.key, "column": field.column, "live": field.live, "rebuilt": field.rebuilt}
        for field in one.differences.shown
    ]


def _tell_source(replayed: Replayed[Any]) -> None:
    if replayed.streamed is not None:
        say(f"{replayed.streamed:,} events from the stream, {replayed.filled:,} from Postgres")
