"""Options and arguments that several commands have, in the same words."""

from typing import Annotated

import typer

from services.cli import shell_completion

User = Annotated[str, typer.Argument(metavar="USER", help="An account's id, or a Telegram id (digits).")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="A job's id.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]
Charge = Annotated[
    bool, typer.Option("--charge", help="Charge the seller like for an order; else it is free.")
]
WithModel = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="MODEL", autocompletion=shell_completion.models, help="Make it with another model."
    ),
]
