"""Commands run in this process on the test's database: arguments in, streams and exit code out."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg
import msgspec
import pytest

from events.envelope import Recorded
from services.cli import connections
from services.cli.main import app
from tests.support.cli_reference import commands
from tests.support.cli_runner import CliRunner
from tests.support.fake_clock_ledger import store

COMMANDS = commands()


class Done(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The data of `-o json` or `-o jsonl`."""
        if self.out.startswith("["):
            found: list[dict[str, Any]] = json.loads(self.out)
            return found
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Done]

ARGUMENTS = {
    "USER": "a1", "CREDITS": "1", "JOB": "j", "MODEL": "m", "CODE": "SPRING25", "PAYMENT": "p", "ID": "1",
    "PROJECTION|all": "balances", "FILE": "file", "NAME": "olga",
    "OLD": "old", "NEW": "new",
}  # fmt: skip
NOON = "2026-11-30T12:00:00+03:00"
OPTIONS = {
    "--reason": "r", "--credits": "1", "--uses": "1", "--to": "-", "--public-key": "k",
    "--actor": "op7", "--seed": "1", "--size": "1", "--role": "auditor",
}  # fmt: skip


def given(words: str, changed: Any = None, value: str = "") -> list[str]:
    """A command with everything it must be given, and with one parameter as it is to be tried."""
    command, options, arguments = COMMANDS[words], words.split(), list[str]()
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            if parameter is changed or parameter.required:
                arguments.append(value if parameter is changed else ARGUMENTS[parameter.metavar])
        elif parameter is changed or parameter.required:
            name = max(parameter.opts, key=len)
            needed = NOON if (words, name) == ("clock correct", "--to") else OPTIONS.get(name)
            options += [name, value if parameter is changed else str(needed)]
        elif "--yes" in parameter.opts:
            options.append("--yes")
    return [*options, "--", *arguments] if arguments else options


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `neurocards …` on the test's database; raises what a person would see as a traceback."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(connections, "configure_command_logging", lambda *_: None)

    def one(*words: str, **env: str) -> Done:
        result = CliRunner().invoke(app, list(words), env={"COLUMNS": "100", **env})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return one


@pytest.fixture
def keep(database_url: str) -> Callable[[Iterable[Recorded]], None]:
    """Writes rows into the log as they are."""
    return lambda events: asyncio.run(store(database_url, events))


@pytest.fixture
def own_rows(database_url: str) -> Callable[[str], None]:
    """Changes the log behind its back, as a superuser with triggers off."""

    async def change(sql: str) -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(f"SET ROLE postgres; SET session_replication_role = replica; {sql}")
        await connection.close()

    return lambda sql: asyncio.run(change(sql))
