"""How commands end: with an exit code that says what kind of end it was, and without a traceback."""

from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup


class ExitCode(IntEnum):
    """2 is also "not confirmed"; 5: some of what was asked is done."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    INTEGRITY = 3
    NOT_FOUND = 4
    PARTLY = 5


class TidyGroup(TyperGroup):
    """Ends a command that raised one of our errors with its message and exit code, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        from events.errors import NeurocardsError

        try:
            return super().invoke(ctx)
        except NeurocardsError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(exit_code_of(error)) from None


def exit_code_of(error: BaseException) -> ExitCode:
    from ledger.errors import IntegrityError
    from ledger.note import MalformedKey
    from projections.errors import NotInLog
    from services.shared.errors import SettingsError

    match error:
        case SettingsError() | MalformedKey():
            return ExitCode.USAGE
        case NotInLog():
            return ExitCode.NOT_FOUND
        case IntegrityError():
            return ExitCode.INTEGRITY
        case _:
            return ExitCode.FAILURE
