"""`neurocards top`: live view of the whole system."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connections import prepare
from services.cli.errors import ExitCode
from services.cli.output import Output, OutputFormat, emit, say

if TYPE_CHECKING:
    from services.cli.top.model import Facts


_PIPE_COLUMNS = 160


def register(app: typer.Typer) -> None:
    app.command("top")(top)


def top(
    every: Annotated[float, typer.Option(min=0.2, max=3600, help="A new look every so many seconds.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="One look, printed; so it is in a pipe.")] = False,
    output: Output = OutputFormat.table,
) -> None:
    """Watch throughput, jobs, lags, errors, provider and workers live; q leaves.

    A server that is away is said, and what was seen of it last stays; one look ends with 1 then.
    """
    import asyncio
    import sys

    import msgspec

    from services.cli.top.terminal import look_once, watch

    settings = prepare("top")
    if output is OutputFormat.table and not once and sys.stdout.isatty():
        asyncio.run(watch(settings, every))
        return
    facts = asyncio.run(look_once(settings))
    if output is OutputFormat.table:
        _print(facts)
    else:
        emit([msgspec.to_builtins(facts)], output)
    for words in filter(None, (facts.postgres, facts.redis)):
        say(words)
    if facts.postgres or facts.redis:
        raise typer.Exit(ExitCode.FAILURE)


def _print(facts: "Facts") -> None:
    import sys

    from rich.console import Console

    from services.cli.top.model import Pulse
    from services.cli.top.render import frame

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    console.print(frame(facts, Pulse(), console.width))
