"""Exit codes and messages of commands, without tracebacks."""

from contextlib import suppress
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup


class ExitCode(IntEnum):
    """2 is also "not confirmed"; 5: partly done; Ctrl-C ends with what shells use."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    INTEGRITY = 3
    NOT_FOUND = 4
    PARTLY = 5
    INTERRUPTED = 130


class TidyGroup(TyperGroup):
    """Ends a failed command with one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            raise typer.Exit(told(error)) from error


def told(error: Exception) -> ExitCode:
    """Say what was wrong; the exit code. Raises `error` again when nobody foresaw it."""
    from services.platform.errors import explain

    words = explain(error)
    if words is None:
        raise error
    typer.echo(words, err=True)
    return exit_code_of(error)


def exit_code_of(error: BaseException) -> ExitCode:
    from ledger.checkpoints.signed_note import MalformedKeyError
    from ledger.errors import (
        IntegrityError,
        JobNotFoundError,
        PaymentNotFoundError,
        PromoNotFoundError,
        RefundNotFoundError,
    )
    from projections.engine.errors import NotInLogError, ProjectionNotFoundError, RebuildMismatchError
    from services.backup.repository import BackupDamagedError, BackupNotFoundError
    from services.migrations.auditors import AuditorNotFoundError
    from services.platform.errors import SettingsError

    match error:
        case SettingsError() | MalformedKeyError():
            return ExitCode.USAGE
        case NotInLogError() | ProjectionNotFoundError() | BackupNotFoundError() | AuditorNotFoundError():
            return ExitCode.NOT_FOUND
        case JobNotFoundError() | PaymentNotFoundError() | PromoNotFoundError() | RefundNotFoundError():
            return ExitCode.NOT_FOUND
        case IntegrityError() | RebuildMismatchError() | BackupDamagedError():
            return ExitCode.INTEGRITY
        case _:
            return ExitCode.FAILURE


def record_defect(error: Exception) -> str:
    """Write an unforeseen error to a file, without secrets; returns words naming it."""
    import os
    import tempfile
    import traceback

    from services.platform.logs import Redaction, secret_values
    from services.platform.settings import load_settings

    secrets, logs = [], None
    with suppress(Exception):  # it may be the settings that are wrong
        settings = load_settings()
        secrets, logs = secret_values(settings), settings.data_dir.expanduser() / "logs"
    clean = Redaction(secrets).text
    lines = "".join(traceback.format_exception(error)).splitlines()
    what = f"this is a defect of neurocards: {type(error).__name__}: {clean(str(error)):.200}"
    for folder in (logs, None):
        with suppress(OSError):
            number, path = tempfile.mkstemp(prefix="defect-", suffix=".log", dir=folder)
            with os.fdopen(number, "w", encoding="utf-8", errors="replace") as file:
                file.write("\n".join(clean(line) for line in lines))
            return f"{what}; please report it with {path}"
    return f"{what}; no file could be written with the details"
