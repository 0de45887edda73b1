"""Reading the project's own source."""

import ast
import contextlib
import gc
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("events", "ledger", "projections", "services", "tests")


@cache
def parse(path: Path) -> ast.Module:
    """The module's tree, made while the garbage collector rests.

    In CPython 3.11 ast.parse fails with "recursion depth mismatch" when the collector, running inside it,
    finds an exception nobody took: formatting that exception's traceback calls ast.parse too.
    """
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    finally:
        gc.enable()


def parse_all() -> None:
    """Once, before processes are forked that would each do so; what is wrong is for the tests to tell."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            with contextlib.suppress(SyntaxError):
                parse(path)
