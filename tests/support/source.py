"""Reading the project's own source."""

import ast
import gc
from functools import cache
from pathlib import Path


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
