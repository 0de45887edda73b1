"""The style that no linter checks: short modules and functions, no leftovers, nothing of one machine."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.each import each
from tests.support.source import PACKAGES, ROOT, parse

MODULE_LINES = 400
FUNCTION_LINES = 50

# Spelled so that this file does not find itself.
LEFTOVERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA[C]K)\b")
MACHINE = re.compile(
    r"/(?:work|home|root|Users)/\w|(?<![\w.])/tmp/(?!\w*neurocards)\w|"
    r"(?:pypi|npmjs|artifactory|nexus)[\w.-]*\.(?:org|com|io|net|internal)|--(?:extra-)?index-url|--fin[d]-links"
)  # fmt: skip
EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]{2,}\.(?!(?:example|invalid|test)\b)[A-Za-z]{2,}")
EMAIL_ALLOWED = re.compile(r"@(?:[\w-]+\.)*example\.(?:com|org|net)$")
_BINARY = {".png", ".jpg", ".jpeg", ".mp4", ".mo", ".ico", ".woff2", ".webp"}


def tracked() -> list[Path]:
    """Every file that is in the repository."""
    command = ["git", "ls-files", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def python_files() -> list[Path]:
    return [
        path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PACKAGES
    ]


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each function's name and length, docstring and decorators not counted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            skipped = 0
            if ast.get_docstring(node) is not None:
                skipped = (first.end_lineno or first.lineno) - first.lineno + 1
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1 - skipped


def matches(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            hit = pattern.search(line)
            if hit and not EMAIL_ALLOWED.search(hit.group()):
                found.append(f"{path.relative_to(ROOT)}:{number}: {hit.group()}")
    return found


def texts() -> list[Path]:
    return [path for path in tracked() if path.suffix not in _BINARY]


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > MODULE_LINES} == {}


def test_functions_are_short() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}": length
        for path in python_files()
        for name, length in functions(parse(path))
        if length > FUNCTION_LINES
    }
    assert found == {}


def test_every_module_says_what_it_is() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in python_files()
        if path.read_text(encoding="utf-8").strip() and not ast.get_docstring(parse(path))
    ]
    assert found == []


def test_no_leftover_notes() -> None:
    assert matches(LEFTOVERS, texts()) == []


def test_nothing_of_one_machine_and_no_index_host() -> None:
    assert matches(MACHINE, texts()) == []


def test_no_addresses_of_people() -> None:
    assert matches(EMAIL, texts()) == []


@each(
    ("pattern", "line", "found"),
    [
        (LEFTOVERS, "# TO" "DO later", True),
        (MACHINE, "see /wo" "rk/shared", True),
        (MACHINE, "/tm" "p/v/bin/python", True),
        (MACHINE, "/tmp/neurocards-0", False),
        (MACHINE, "https://py" "pi.org/simple", True),
        (EMAIL, "ask someone@" "company.com", True),
        (EMAIL, "@neurocards_support, postgresql://u:p@h/d", False),
    ],
)  # fmt: skip
def test_these_tests_can_fail(pattern: re.Pattern[str], line: str, found: bool) -> None:
    assert bool(pattern.search(line)) == found


WORDS_MAX = 12
VAGUE = re.compile(r"\b(whoever|somebody|someone|what there is|nobody|anybody)\b", re.IGNORECASE)


def first_sentences(path: Path) -> Iterator[str]:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield " ".join(re.split(r"(?<=[.:;!?])\s|\n\n", text.strip(), maxsplit=1)[0].split())


def test_docstrings_begin_with_what_one_would_search_for() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {sentence}"
        for path in python_files()
        if path.relative_to(ROOT).parts[0] != "tests"
        for sentence in first_sentences(path)
        if len(sentence.split()) > WORDS_MAX or VAGUE.search(sentence)
    ]
    assert found == []
