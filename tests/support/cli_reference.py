"""`docs/cli.md`: what the commands say of themselves, put into the text that people wrote around it.

    python -m tests.support.cli_reference

Each command has a heading and, below it, a block between two marks that is made anew; what stands outside
the marks stays. A command that has none yet gets its heading and block at the end of its group, one that is
gone loses both, with the text up to the next heading.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer

from services.cli.main import app

# All commands as they are registered, for the reference and for the tests of their manners.


PROGRAM = "neurocards"


def groups() -> dict[str, Any]:
    """Every group by its name; commands of their own are in the group of no name."""
    top: Any = typer.main.get_command(app)
    found = {name: command for name, command in top.commands.items() if hasattr(command, "commands")}
    for name, group in list(found.items()):  # `dashboard users`
        found |= {
            f"{name} {sub}": inner for sub, inner in group.commands.items() if hasattr(inner, "commands")
        }
    return {"": top, **dict(sorted(found.items()))}


def commands() -> dict[str, Any]:
    """Every command by its words, e.g. `jobs list`, in the order of the reference."""
    return dict(_commands())


def _commands() -> Iterator[tuple[str, Any]]:
    for group, found in groups().items():
        for name, command in sorted(found.commands.items()) if not group else found.commands.items():
            if not hasattr(command, "commands"):
                yield f"{group} {name}".strip(), command


class Line(NamedTuple):
    """An argument or option as the help shows it: its names with its value, and what it is."""

    kind: str
    names: str
    words: str
    required: bool


def lines(words: str, command: Any) -> list[Line]:
    """Arguments, then options; those that must be given first."""
    context = _context(words, command)
    found = []
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            names, told = record
            if parameter.param_type_name == "argument":
                names = names.split(" ")[0].strip("[]") + (" ..." if parameter.nargs == -1 else "")
            found.append(Line(parameter.param_type_name, names, told, required=parameter.required))
    return sorted(found, key=lambda line: (line.kind, not line.required))


def synopsis(words: str, command: Any) -> str:
    """One line with what must be given: `neurocards credits grant USER CREDITS --reason … [OPTIONS]`."""
    arguments = [line.names if line.required else f"[{line.names}]" for line in lines(words, command)
                 if line.kind == "argument"]  # fmt: skip
    options = [line for line in lines(words, command) if line.kind == "option"]
    required = [line.names.split(", ")[-1] for line in options if line.required]
    more = ["[OPTIONS]"] if any(not line.required for line in options) else []
    return " ".join([PROGRAM, words, *arguments, *required, *more])


def _context(words: str, command: Any) -> Any:
    return command.make_context(words.rpartition(" ")[2], [], resilient_parsing=True)


DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "cli.md"
COMMON: Final = ("--output", "--dry-run", "--yes", "--reason")
"""Options that are explained once, at the beginning."""


def begin_of(words: str) -> str:
    """The mark before a command's block."""
    return f"<!-- made by tests.support.cli_reference: {words} -->"


END: Final = "<!-- end -->"
_BLOCK: Final = re.compile(rf"{re.escape(begin_of('@')).replace('@', '([a-z -]+)')}.*?{END}", re.DOTALL)
_GONE: Final = re.compile(rf"^### `{PROGRAM} ([a-z -]+)`$.*?(?=^##|\Z)", re.DOTALL | re.MULTILINE)


def refreshed(text: str) -> str:
    """The document with every command's block as the program is now."""
    known = commands()
    text = _GONE.sub(lambda found: found[0] if found[1] in known else "", text)
    blocks = {words: block(words, command) for words, command in known.items()}
    text = _BLOCK.sub(lambda found: blocks.get(found[1], found[0]), text)
    for words, made in blocks.items():
        if begin_of(words) not in text:
            text = _with_new(text, words, made)
    return text.rstrip() + "\n"


def block(words: str, command: Any) -> str:
    """What a command says of itself: synopsis, text, arguments and options."""
    shown = [line for line in lines(words, command) if not _is_common(line)]
    common = [f"`{name}`" for line in lines(words, command) if _is_common(line) for name in [_long(line)]]
    parts = [
        begin_of(words),
        f"    {synopsis(words, command)}",
        _plain(command.help or ""),
        "\n".join(f"- `{line.names}`: {_told(line)}" for line in shown),
        f"And {', '.join(common)}." if common else "",
        END,
    ]
    return "\n\n".join(filter(None, parts))


def _with_new(text: str, words: str, made: str) -> str:
    """The document with one section more, at the end of its group's."""
    group = words.rpartition(" ")[0]
    heading = f"## {group or 'Commands of their own'}"
    if f"\n{heading}\n" not in text:
        text = f"{text.rstrip()}\n\n{heading}\n\n{(groups()[group].help or '').strip() if group else ''}\n"
    start = text.index(f"\n{heading}\n") + len(heading) + 2
    following = text.find("\n## ", start)
    end = len(text) if following < 0 else following
    section = text[start:end].rstrip()
    return f"{text[:start]}{section}\n\n### `{PROGRAM} {words}`\n\n{made}\n{text[end:]}"


def _is_common(line: Line) -> bool:
    return _long(line) in COMMON


def _long(line: Line) -> str:
    """The long name of an option; empty for an argument."""
    return next((name for name in re.split(r"[ ,]+", line.names) if name.startswith("--")), "")


def _told(line: Line) -> str:
    return re.sub(r"\s+", " ", line.words.replace("[required]", "").replace("; required]", "]")).strip()


def _plain(words: str) -> str:
    """A docstring's paragraphs, each on one line."""
    return "\n\n".join(re.sub(r"\s+", " ", part).strip() for part in words.strip().split("\n\n"))


def main() -> None:
    """Rewrite the document."""
    before = DOCUMENT.read_text(encoding="utf-8")
    after = refreshed(before)
    DOCUMENT.write_text(after, encoding="utf-8")
    sys.stdout.write(
        "docs/cli.md is as it was\n" if after == before else "docs/cli.md was brought up to date\n"
    )


if __name__ == "__main__":
    main()
