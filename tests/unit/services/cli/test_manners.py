"""What holds for every command: how it is explained, what it asks for, how it ends."""

import subprocess
import sys
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

import pytest
import typer

import events
import ledger
import projections
import services
from events.errors import NeurocardsError
from services.cli import options as cli_options
from services.cli import shell_completion
from services.cli.errors import ExitCode, TidyGroup, exit_code_of
from services.cli.output import OutputFormat, emit
from tests.support.cli_reference import Line, commands, groups, lines
from tests.support.cli_runner import CliRunner
from tests.support.each import each
from tests.support.services import ROOT

COMMANDS = commands()

READS = {
    "dashboard users list", "doctor", "backup list", "backup check", "backup drill", "clock show",
    "ledger access", "ledger actions",
    "ledger exceptions", "ledger reads", "ledger sample", "models check",
    "dead-letters list", "dead-letters groups", "dead-letters show",
    "jobs list", "jobs show", "ledger balance", "ledger explain", "ledger export", "ledger journal",
    "ledger prove", "ledger public-key", "ledger statement", "ledger trial-balance", "ledger verify",
    "ledger checkpoints", "ledger compare-checkpoints", "ledger verify-checkpoint",
    "ledger verify-export", "ledger verify-proof",
    "models history",
    "models list", "operations list", "payments list", "payments show", "promo list", "sales status",
    "stats daily", "stats errors", "stats styles", "stats times", "streams status", "streams verify",
    "top", "users verify",
}  # fmt: skip
"""Commands that change neither money nor anything that runs. A new command is put here, or it asks."""

UNASKED = {
    "serve": "runs one process",
    "up": "runs everything",
    "demo": "plays on a system of its own",
    "migrate": "every deployment runs it; safe to repeat",
    "dashboard users add": "makes a user, or gives one the role that was said; the link is the person's",
    "auditor add": "adds a login that only reads, never replaces one",
    "backup take": "adds a backup; run on a schedule",
    "operations run": "carries out what users of the dashboard were shown, asked and gave a reason for",
    "ledger checkpoint": "adds a signed note; run on a schedule",
    "ledger cosign": "adds a witness's line to a note, if it is the witness's",
    "ledger keygen": "adds a file, never replaces one",
    "payments reconcile": "books only what the provider's own book proves, as the monitor does by itself",
}
"""Commands that change something without asking, and why."""

UNSIGNED = {
    "blobs migrate": "the same photos and videos lie elsewhere",
    "drill": "only on a local sandbox, whose ledger is nobody's",
    "dashboard users remove": "nothing about it stands in the ledger; the row says when",
    "auditor remove": "nothing about it stands in the ledger; Postgres's log has who and when",
    "backup restore": "who and why stands in the statement that `recover` signs afterwards",
    "replay": "what is right is swapped in unseen; --reason goes with --accept-difference",
    "clock confirm": "a word for ten minutes, kept with the login that gave it",
}
"""Commands that ask, but need not be told who and why, and the reason."""

NO_DATA = {
    "sales pause": "says one sentence",
    "sales resume": "says one sentence",
    "operations run": "logs only",
    "serve": "logs only",
    "ledger export": "writes a file, in a --format of its own",
    "ledger keygen": "prints a key, as it is",
    "ledger public-key": "prints a key, as it is",
    "ledger prove": "writes a proof, as it is",
    "clock confirm": "says one sentence",
}
"""Commands without -o, and why."""


def options(words: str) -> set[str]:
    return {name for line in lines(words, COMMANDS[words]) if line.kind == "option"
            for name in line.names.replace(",", " ").split() if name.startswith("-")}  # fmt: skip


@each("words", COMMANDS)
def test_a_command_explains_itself(words: str):
    first = (COMMANDS[words].help or "").partition("\n")[0]
    assert first.endswith(".") and 10 < len(first) <= 120, "a first line that says what it does"
    found = lines(words, COMMANDS[words])
    assert [line.names for line in found if not line.words.strip()] == []
    arguments = [line.names.removesuffix(" ...") for line in found if line.kind == "argument"]
    assert [name for name in arguments if "|" not in name and not name.isupper()] == []


@each("group", [name for name in groups() if name])
def test_a_group_explains_itself(group: str):
    assert (groups()[group].help or "").strip().endswith(".")


@each("words", COMMANDS)
def test_what_prints_data_prints_it_in_three_forms(words: str):
    assert ({"-o", "--output"} <= options(words)) is (words not in NO_DATA)


@each("words", COMMANDS)
def test_what_changes_something_shows_it_and_asks_and_is_told_why(words: str):
    asks, told = {"--dry-run", "--yes", "-y"}, {"--reason"}
    found = options(words) & (asks | told)
    if words == "migrate":
        found.remove("--dry-run")  # there to look at locks
    if words == "doctor":
        found -= {"--yes", "-y"}  # there to spend, with --live
    if words == "ledger journal":
        found.remove("--reason")  # there to look for it
    if words in READS or words in UNASKED:
        assert found == set()
    elif words in UNSIGNED:
        assert asks <= found
    else:
        assert found == asks | told


def test_the_lists_of_exceptions_name_commands_once():
    named = [*READS, *UNASKED, *UNSIGNED]
    assert len(named) == len(set(named))
    assert {*named, *NO_DATA} <= COMMANDS.keys()


def modules() -> list[ModuleType]:
    return [
        import_module(found.name)
        for package in (events, ledger, projections, services)
        for found in walk_packages(package.__path__, package.__name__ + ".")
        if not found.name.endswith("__main__") and not found.name.startswith("services.sandbox")
    ]


def subclasses(cls: type[NeurocardsError]) -> list[type[NeurocardsError]]:
    return [cls, *(each for child in cls.__subclasses__() for each in subclasses(child))]


def test_what_is_not_there_ends_with_4_and_what_contradicts_with_3():
    modules()
    codes = {cls.__name__: exit_code_of(cls.__new__(cls)) for cls in subclasses(NeurocardsError)}
    absent = {name for name in codes if name.startswith(("NoSuch", "NothingOf", "NotInLog"))}
    absent |= {name for name in codes if name.endswith("NotFoundError") and name != "NotFoundError"}
    assert {name for name, code in codes.items() if code is ExitCode.NOT_FOUND} == absent
    for name in ("ProofError", "StreamMismatchError", "RebuildMismatchError", "BackupDamagedError"):
        assert codes[name] is ExitCode.INTEGRITY
    assert codes["SettingsError"] is ExitCode.USAGE
    assert codes["LedgerUnavailableError"] is ExitCode.FAILURE


def ended(error: BaseException) -> tuple[int, str]:
    """How a command ends that raises this."""
    app = typer.Typer(cls=TidyGroup, pretty_exceptions_enable=False)

    @app.callback()
    def _main() -> None: ...

    @app.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(app, ["fail"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.stdout == ""
    return result.exit_code, result.stderr


def test_a_server_that_breaks_off_is_told_without_a_traceback_and_a_bug_is_not_hidden():
    import asyncpg
    from redis.exceptions import ConnectionError as RedisAway

    code, words = ended(asyncpg.ConnectionDoesNotExistError("connection was closed"))
    assert (code, words) == (1, "Postgres broke off: connection was closed; try again\n")
    starting = asyncpg.CannotConnectNowError("the database system is starting up")
    starting.detail = "not consistent yet"
    assert ended(starting) == (1, "Postgres broke off: the database system is starting up; try again\n")
    code, words = ended(RedisAway("redis://:secret@host"))
    assert code == 1 and words.startswith("Redis does not answer") and "secret" not in words
    assert "neurocards migrate" in ended(asyncpg.UndefinedTableError("no table"))[1]
    with pytest.raises(ZeroDivisionError):
        ended(ZeroDivisionError())


def test_ctrl_c_ends_with_130():
    assert ended(KeyboardInterrupt()) == (ExitCode.INTERRUPTED, "")


@pytest.mark.parametrize(("cause", "code"), [(KeyboardInterrupt, 130), (EOFError, 2)])
def test_ctrl_c_at_the_question_is_130_and_the_end_of_input_is_no(
    cause: type[BaseException], code: int, monkeypatch: pytest.MonkeyPatch
):
    def gone(*_: Any, **__: Any) -> str:
        raise cause

    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer._click.termui.visible_prompt_func", gone)
    with pytest.raises(typer.Exit) as end:
        cli_options.confirm(dry_run=False, yes=False)
    assert end.value.exit_code == code


def test_a_table_keeps_each_row_on_a_line_and_reads_no_markup(capsys: pytest.CaptureFixture[str]):
    emit([], OutputFormat.table)
    assert capsys.readouterr().out == ""
    rude = "[red]no[/red] :x: \x1b[2J\nsecond line"
    emit([{"what": rude, "long": "x" * 1000, "n": 7}], OutputFormat.table)
    shown = capsys.readouterr().out
    assert any("[red]no[/red] :x:" in line and "second line" in line and line.endswith("  7")
               and "x" * 1000 in line for line in shown.splitlines())  # fmt: skip
    assert "\x1b" not in shown


@each(
    ("complete", "begun", "found"),
    [
        (shell_completion.projections_or_all, "bal", ["balances"]),
        (shell_completion.projections_or_all, "al", ["all"]),
        (shell_completion.models, "", None),
        (shell_completion.error_classes, "rate", ["rate_limited"]),
        (shell_completion.parked_classes, "pois", ["poison"]),
        (shell_completion.event_types, "CreditsG", ["CreditsGranted"]),
        (shell_completion.backups, "nothing-begins-so", []),
    ],
)
def test_names_are_completed(complete: Any, begun: str, found: list[str] | None):
    assert complete(begun) == found if found is not None else len(complete(begun)) > 3


def test_the_shell_completes_commands_and_names_without_any_server(tmp_path):
    """As bash asks: the words so far, and which of them is being written."""

    def completed(words: str) -> list[str]:
        asked = {"_NEUROCARDS_COMPLETE": "complete_bash", "COMP_WORDS": words}
        env = asked | {
            "COMP_CWORD": str(words.count(" ")),
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": "postgresql://nobody:x@192.0.2.1/none",
        }
        code = "from services.cli.main import app; app(prog_name='neurocards')"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True,
                              text=True, timeout=120, check=False)  # fmt: skip
        return done.stdout.split()

    assert completed("neurocards dead-l") == ["dead-letters"]
    assert completed("neurocards dead-letters list --class pois") == ["poison"]


def test_only_required_things_are_shown_as_required():
    found = lines("jobs cancel", COMMANDS["jobs cancel"])
    assert [line.names for line in found if line.required] == ["JOB", "--reason <str>"]
    assert isinstance(found[0], Line)
