"""docs/auditing.md: what it tells an auditor to type works, and every command is spoken of."""

import re
from pathlib import Path

import typer

from services.cli.connections import auditor_pool
from services.cli.main import app
from services.platform.settings import Settings
from tests.integration.projections.conftest import CatchUp
from tests.support.fake_clock_ledger import random_ledger, store

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "auditing.md").read_text(encoding="utf-8")
SQL, *_ = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)


async def test_every_query_answers_and_kept_promises_are_empty(
    settings: Settings, database_url: str, catch_up: CatchUp
) -> None:
    desk = random_ledger(4)
    for stream in {e.stream for e in desk.events if e.type == "JobQueued"}:
        job = stream.removeprefix("job-")
        if not any(e.stream == stream and e.type in ("JobSucceeded", "JobFailed") for e in desk.events):
            desk.fail(next(e.data.split('"')[3] for e in desk.events if e.stream == stream), job)
    await store(database_url, desk.events)
    await catch_up("lots")
    queries = [query.strip() for query in re.split(r";[^\n]*\n", SQL) if query.strip()]
    assert len(queries) >= 11
    async with auditor_pool(settings) as pool:
        for query in queries:
            rows = await pool.fetch(query.replace("'a1'", "'a'").replace("account-a1", "account-a"))
            broken = re.search(
                r"chain_breaks|double_outcomes|unrefunded|overdrafts|unsettled|unfinished", query
            )
            assert bool(rows) != bool(broken), query


def test_every_command_of_the_ledger_is_in_the_docs() -> None:
    command = typer.main.get_command(app).commands["ledger"]  # type: ignore[attr-defined]
    told = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    assert [name for name in command.commands if f"{name} " not in told and f"`{name}`" not in told] == []
