"""`neurocards doctor`: is everything as it should be, and what to do if not."""

import typer

from services.cli.output import Output, OutputFormat, emit, say


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(output: Output = OutputFormat.table) -> None:
    """Check every setting and connection and say what to do; exit code 1 when something fails."""
    import asyncio

    from services.cli.doctor import State, examine

    checks = asyncio.run(examine())
    emit([check.as_row() for check in checks], output)
    failed = [check for check in checks if check.state is State.fail]
    say(f"{len(failed)} of {len(checks)} checks failed" if failed else f"all {len(checks)} checks passed")
    raise typer.Exit(1 if failed else 0)
