"""Migrations give way: behind one that waits for a lock no append waits for long."""

import asyncio
import time

import pytest

from ledger import migrations
from ledger.errors import MigrationError
from tests.integration.ledger.conftest import rich
from tests.support.locks import WAITING
from tests.support.waiting import eventually

ADDED = "ALTER TABLE events ADD COLUMN more int"
WAITS = f"{WAITING} AND relation = 'events'::regclass"


@pytest.fixture
def file(monkeypatch):
    """Adds a migration after those that were applied."""
    ours = migrations.migration_files("ledger.migrations")

    def add(sql: str) -> None:
        files = [*ours, ("9999_more.sql", sql)]
        monkeypatch.setattr(migrations, "migration_files", lambda package: files)

    return add


async def test_a_migration_that_waits_lets_appends_through_and_comes_in_the_end(
    owner, ledger, pool, database_url, file, monkeypatch
):
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_S", 0.3)
    file(ADDED)
    async with pool.acquire() as reader:
        held = reader.transaction()
        await held.start()
        await reader.fetch("SELECT count(*) FROM events")
        migrating = asyncio.create_task(migrations.migrate(database_url))
        await eventually(lambda: owner.fetchval(WAITS), what="it waits for the reader")
        began = time.monotonic()
        await rich(ledger, "a")
        assert time.monotonic() - began < 3 and not migrating.done()
        await held.rollback()
    assert await migrating == ["ledger.migrations/9999_more.sql"]
    await rich(ledger, "b")


async def test_it_takes_the_append_lock_first(owner, database_url, file, monkeypatch):
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_S", 0.1)
    monkeypatch.setattr(migrations, "_ATTEMPTS", 3)
    for sql, waits in ((ADDED, True), ("CREATE TABLE other ()", False)):
        file(sql)
        async with owner.transaction():
            await owner.execute("LOCK TABLE ledger.append_lock IN EXCLUSIVE MODE")
            if waits:
                with pytest.raises(MigrationError, match="lock timeout"):
                    await migrations.migrate(database_url)
                assert not await owner.fetchval(WAITS)
            else:
                assert len(await migrations.migrate(database_url)) == 1


async def test_without_a_transaction_an_index_is_made_concurrently_and_again_after_a_failure(
    owner, database_url, file
):
    made = "DROP INDEX CONCURRENTLY IF EXISTS m;\nCREATE INDEX CONCURRENTLY m ON events (recorded_at_us);\n"
    file(f"-- no transaction\n{made}SELECT 1 / 0;")
    with pytest.raises(MigrationError, match="division by zero"):
        await migrations.migrate(database_url)
    file(f"-- no transaction\n{made}")
    assert await migrations.migrate(database_url) == ["ledger.migrations/9999_more.sql"]
    assert await owner.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'm'::regclass")


async def test_what_would_be_applied_is_told_and_nothing_done(empty_database_url, database_url, file):
    assert len(await migrations.pending(empty_database_url)) == 2
    assert len(await migrations.migrate(empty_database_url)) == 2
    file(ADDED)
    assert await migrations.pending(database_url) == [("ledger.migrations", "9999_more.sql", ADDED)]
