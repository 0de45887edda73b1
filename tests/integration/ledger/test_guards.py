"""Nothing is rewritten: by privilege, by trigger, and, when both are gone, not unseen."""

import asyncio

import asyncpg
import pytest

from ledger import migrations
from ledger.errors import IntegrityError


@pytest.mark.parametrize("text", ["\\u0000", "a\\ud800b", "\\udc00"])
async def test_text_that_breaks_jsonb_cannot_enter(owner, text):
    insert = """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
                VALUES (1, 's', 1, 'T', $1, 0, sha256('x'))"""
    with pytest.raises(asyncpg.PostgresError):
        await owner.execute(insert, f'{{"a":"{text}"}}')
    await owner.execute(insert, '{"a":"\\u0001\\\\u0000ж"}')  # a control character and a backslash do
    assert await owner.fetchval("SELECT data ->> 'a' FROM events") == "\x01\\u0000ж"


@pytest.mark.parametrize("name", ["JobQueued", "PaymentOrdered", "PromoCreated"])
async def test_what_begins_a_stream_stands_at_its_beginning(owner, name):
    """With one event per version, so that none is ordered or made twice."""
    insert = """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
                VALUES ($1, 's', $1, $2, '{}', 0, sha256('x'))"""
    with pytest.raises(asyncpg.CheckViolationError, match="events_whole"):
        await owner.execute(insert, 2, name)
    await owner.execute(insert, 1, name)


async def test_migrating_twice_and_at_once_is_migrating_once(empty_database_url):
    done = await asyncio.gather(*[migrations.migrate(empty_database_url) for _ in range(4)])
    assert sorted(map(len, done)) == [0, 0, 0, len(migrations.migration_files("ledger.migrations"))]
    assert await migrations.migrate(empty_database_url) == []


async def test_an_applied_migration_that_changed_is_an_error(empty_database_url, monkeypatch):
    await migrations.migrate(empty_database_url)
    monkeypatch.setattr(migrations, "migration_files", lambda package: [("0001_log.sql", "SELECT 1")])
    with pytest.raises(IntegrityError, match=r"0001_log\.sql was applied and has changed"):
        await migrations.migrate(empty_database_url)
