"""docs/cli.md: every command is there, as it is, with an example; what people wrote stays."""

import re

from services.cli.errors import ExitCode
from tests.support.cli_reference import DOCUMENT, END, PROGRAM, begin_of, commands, refreshed
from tests.support.each import each

TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_the_document_is_what_the_generator_makes():
    """If not: python -m tests.support.cli_reference, and write an example below what is new."""
    assert refreshed(TEXT) == TEXT


def section(words: str) -> str:
    """What people wrote below a command's block."""
    _, _, rest = TEXT.partition(begin_of(words))
    return re.split(r"^##", rest.partition(END)[2], maxsplit=1, flags=re.MULTILINE)[0]


@each("words", commands())
def test_a_command_has_an_example(words: str):
    assert re.search(rf"^    \$? ?(\w+=\S+ )?{PROGRAM} {words}\b", section(words), flags=re.MULTILINE)


def test_every_exit_code_is_explained():
    listed = re.findall(r"^\| (\d+) \|", TEXT, flags=re.MULTILINE)
    assert [int(code) for code in listed] == sorted(code.value for code in ExitCode)


def test_a_new_command_comes_to_its_group_and_a_gone_one_goes():
    words = "jobs list"
    without = re.sub(rf"### `{PROGRAM} {words}`.*?(?=^##)", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    gone = f"### `{PROGRAM} jobs vanish`\n\n{begin_of('jobs vanish')}\n\nIt vanished.\n\n{END}\n\nWell.\n\n"
    stale = without.replace("\n## jobs\n\n", f"\n## jobs\n\nBy hand.\n\n{gone}")
    made = refreshed(stale)
    assert made.count(begin_of(words)) == 1 and "vanish" not in made and "By hand." in made
    assert made.index("\n## jobs\n") < made.index(begin_of(words)) < made.index("\n## ledger\n")
    assert refreshed(made) == made
