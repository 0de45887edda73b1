"""Every `neurocards …` in the documents is a command that the program takes, with options that it has."""

import re
import shlex
from pathlib import Path
from typing import Any

from typer._click.exceptions import ClickException, MissingParameter

from tests.support.cli_reference import PROGRAM, commands, groups
from tests.support.each import each
from tests.unit.test_docs import DOCS

COMMANDS, GROUPS = commands(), groups()
MADE = re.compile(r"<!-- made by .*?<!-- end -->", re.DOTALL)
BLOCK = re.compile(r"^ {4}.*$", re.MULTILINE)
CALL = re.compile(rf"(?:^|[\s$(=]|/){PROGRAM} ([a-z].*)")
REST = re.compile(r"\s{3,}\S.*| #.*|[|>;)].*|&&.*")
"""What stands behind a command: words for people, a pipe, the next command."""


def blocks(text: str) -> list[str]:
    """What a reader types: the commands of indented lines, what the generator made left out."""
    found = BLOCK.findall(re.sub(r"\\\n\s*", " ", MADE.sub("", text)))
    return [REST.sub("", call[1]) for line in found if (call := CALL.search(line))]


def mentions(text: str) -> list[str]:
    """Commands in the running text, of which the rest may be left out."""
    found = re.findall(rf"`{PROGRAM} ([a-z][^`]*)`", BLOCK.sub("", text))
    return [REST.sub("", " ".join(call.split())) for call in found]


def parsed(line: str, *, whole: bool = True) -> None:
    """Raises what a person would be told who types this; `…` at the end is what is left out, N a number."""
    words = [{"N": "1"}.get(word, word.strip("[]")) for word in shlex.split(line)]
    if words[-1] == "…":
        whole = False
        words = words if words[-2].startswith("-") else words[:-1]
    size = next((n for n in (1, 2, 3) if " ".join(words[:n]) in COMMANDS), 0)
    if not size:
        assert " ".join(words) in GROUPS, "there is no such command"
        return
    command: Any = COMMANDS[" ".join(words[:size])]
    try:
        command.make_context(words[size - 1], words[size:])
    except MissingParameter:
        if whole:
            raise


def wrong(lines: list[str], *, mentioned: bool = False) -> list[str]:
    found = []
    for line in lines:
        try:
            parsed(line, whole=not mentioned)
        except (AssertionError, ValueError, ClickException) as error:
            found.append(f"{line}: {error}")
    return found


@each("path", DOCS)
def test_what_the_documents_say_can_be_typed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert wrong(blocks(text)) + wrong(mentions(text), mentioned=True) == []


def test_this_test_sees_commands_and_can_fail() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS)
    assert len(blocks(text)) > 100 and len(mentions(text)) > 100
    assert "replay balances --to 8000 --into schema:then" in blocks(text)
    assert blocks("    JOB=$(neurocards jobs list --limit 1 -o jsonl | cut -d'\"' -f4)") == [
        "jobs list --limit 1 -o jsonl "
    ]
    for line in ("jobs vanish", "jobs list --nothing", "jobs list --limit many", "jobs cancel JOB"):
        assert wrong([line]), line
    assert not wrong(["jobs cancel JOB …", "jobs list --limit 5", "jobs"])
    assert wrong(["jobs cancel --nothing"], mentioned=True)
