"""Every query: named once, described, used by its package or by who loads it, and accepted by Postgres."""

import ast
from pathlib import Path

import asyncpg
import pytest

from ledger.sql import FILE, queries
from tests.support.services import ROOT
from tests.support.source import parse

PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for top in ("ledger", "projections", "services")
    for path in Path(ROOT, top).rglob(FILE)
)


def words() -> set[str]:
    """Every text in the product's code, and the beginnings of those that are put together."""
    found = set()
    for top in ("ledger", "projections", "services"):
        for path in Path(ROOT, top).rglob("*.py"):
            found |= {
                n.value
                for n in ast.walk(parse(path))
                if isinstance(n, ast.Constant) and isinstance(n.value, str)
            }
    return found


def test_each_is_named_once_described_and_used() -> None:
    used = words()
    for package in PACKAGES:
        text = Path(ROOT, *package.split("."), FILE).read_text("utf-8")
        assert text.count("-- name: ") == len(queries(package)), package
        for name, query in queries(package).items():
            assert query.startswith("-- ") and len(query.splitlines()) > 1, (
                f"{package}: {name} says nothing of itself"
            )
            assert name in used or any(name.startswith(word) for word in used if word.endswith("_")), (
                f"{package}: {name}"
            )


@pytest.mark.parametrize("package", PACKAGES)
async def test_postgres_accepts_each(package: str, database_url: str) -> None:
    """But for those with places for a table's names, which are tried with every read model elsewhere."""
    connection = await asyncpg.connect(database_url)
    try:
        for name, query in queries(package).items():
            if "{" not in query:
                try:
                    await connection.prepare(query)
                except asyncpg.PostgresError as error:
                    pytest.fail(f"{package}: {name}: {error}")
    finally:
        await connection.close()
