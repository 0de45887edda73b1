"""Every query: named once, described, used by its package or by who loads it, and accepted by Postgres."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


WHOLE = (None, "events_pkey", "events_stream_version", "events_key")
"""Read without a condition, they are the whole log."""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


async def test_who_looks_for_orders_and_codes_reads_no_whole_log(database_url: str) -> None:
    """Their unique indexes are gone: `events_stream_version` and a CHECK say the same."""
    connection = await asyncpg.connect(database_url, statement_cache_size=0)
    looking = {
        f"{package} {name}": query
        for package in PACKAGES
        for name, query in queries(package).items()
        if re.search("'(PaymentOrdered|PromoCreated)'", query)
    }
    assert len(looking) > 5
    try:
        await connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        for name, query in looking.items():
            given = ["NULL"] * len((await connection.prepare(query)).get_parameters())
            await connection.execute(f"PREPARE looking AS {query}")
            call = f"looking({', '.join(given)})" if given else "looking"
            (plan,) = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {call}"))
            for scan in (node for node in nodes(plan["Plan"]) if node.get("Relation Name") == "events"):
                by_condition = {"Index Cond", "Recheck Cond"} & scan.keys()
                assert by_condition or scan.get("Index Name") not in WHOLE, f"{name}: {scan}"
            await connection.execute("DEALLOCATE looking")
    finally:
        await connection.close()
