"""Every query that a module asks its package for is there: told without Postgres."""

import ast
from pathlib import Path

from ledger.sql import queries
from tests.support.services import ROOT
from tests.support.source import parse


def loaders(tree: ast.Module) -> dict[str, str]:
    """Variables that hold `load_queries("package")`, with the package."""
    return {
        node.targets[0].id: node.value.args[0].value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") == "load_queries"
        and isinstance(node.value.args[0], ast.Constant)
        and isinstance(node.value.args[0].value, str)
    }


def asked(tree: ast.Module) -> list[tuple[str, str]]:
    found = loaders(tree)
    return [
        (found[node.func.id], node.args[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in found
        if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    ]


def test_every_query_that_is_asked_for_is_there() -> None:
    calls = {
        (path.relative_to(ROOT).as_posix(), *call)
        for top in ("ledger", "projections", "services")
        for path in Path(ROOT, top).rglob("*.py")
        for call in asked(parse(path))
    }
    assert len(calls) > 100
    assert sorted(call for call in calls if call[2] not in queries(call[1])) == []


def test_a_missing_query_is_named() -> None:
    tree = ast.parse('query = load_queries("ledger.log")\nquery("append")\nquery("nothing_of_that_name")')
    assert [name for package, name in asked(tree) if name not in queries(package)] == ["nothing_of_that_name"]
