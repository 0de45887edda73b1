"""Nothing is rewritten: by privilege, by trigger, and, when both are gone, not unseen."""

import asyncio

import asyncpg
import pytest

from events.envelope import GENESIS_HASH
from ledger import migrations
from ledger.errors import IntegrityError
from ledger.log.hash_chain import follows
from tests.integration.ledger.conftest import order, rich

REWRITES = [
    "UPDATE events SET type = type",
    "UPDATE events SET type = 'x' WHERE false",
    "DELETE FROM events",
    "TRUNCATE events",
    "TRUNCATE events, checkpoints CASCADE",
    "UPDATE checkpoints SET note = note",
    "DELETE FROM checkpoints",
    "TRUNCATE checkpoints",
    "MERGE INTO events e USING events f ON e.position = f.position WHEN MATCHED THEN DELETE",
    "INSERT INTO checkpoints (kind, position, hash, made_at, note) OVERRIDING SYSTEM VALUE"
    " VALUES ('checkpoint', 0, sha256(''), now(), '') ON CONFLICT (number) DO UPDATE SET note = 'x'",
]


@pytest.mark.parametrize("statement", REWRITES)
@pytest.mark.parametrize("role", ["owner", "neurocards_app", "auditor"])
async def test_rewriting_is_refused_to_everyone(ledger, owner, statement, role):
    await rich(ledger, "a")
    if role != "owner":
        await owner.execute(f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO events SELECT * FROM events",
        "INSERT INTO open_jobs VALUES ('j', 'a', 1, 1)",
        "DELETE FROM open_jobs",
        "CREATE TABLE mine ()",
    ],
)
async def test_an_auditor_only_reads(ledger, owner, statement):
    await rich(ledger, "a")
    await owner.execute("SET ROLE auditor")
    assert await owner.fetchval("SELECT count(*) FROM audit.events") == 3
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute(statement)


async def test_the_application_cannot_disable_the_guard(ledger, owner):
    await owner.execute("SET ROLE neurocards_app")
    for statement in (
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "ALTER TABLE checkpoints DISABLE TRIGGER ALL",
        "DROP TRIGGER events_append_only ON events",
        "CREATE OR REPLACE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
        "DROP TABLE events",
        "SET session_replication_role = replica",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute(statement)


async def test_python_and_sql_agree_on_every_hash(ledger, owner):
    await rich(ledger, "a")
    await ledger.execute(order("a", "заказ-ß-🎬", "j1", "j2"), key="order:ключ-🎬")
    previous = GENESIS_HASH
    async for event in ledger.read.scan():
        assert follows(previous, event)
        previous = event.hash
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []


@pytest.mark.parametrize(
    ("damage", "broken"),
    [
        ("UPDATE events SET data = replace(data::text, '1000', '9000')::json WHERE position = 3", [3]),
        ("UPDATE events SET stream = 'account-b' WHERE position = 2", [2]),
        ("UPDATE events SET recorded_at_us = recorded_at_us + 1 WHERE position = 2", [2]),
        ("UPDATE events SET hash = sha256('x') WHERE position = 3", [3, 4]),
        ("DELETE FROM events WHERE position = 3", [4, 5]),
        (
            """UPDATE events SET position = -position WHERE position IN (2, 3);
               UPDATE events SET position = 5 + position WHERE position < 0""",
            [2, 3, 4],
        ),
    ],
    ids=["data", "stream", "time", "hash", "deleted", "swapped"],
)
async def test_damage_behind_the_back_is_seen_in_plain_sql(ledger, owner, damage, broken):
    await rich(ledger, "a")
    await ledger.execute(order("a", "o"), key="order:o")
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("ALTER TABLE events DROP CONSTRAINT events_position_check")
    await owner.execute(damage)
    rows = await owner.fetch("SELECT position FROM audit.chain_breaks ORDER BY position")
    assert [row["position"] for row in rows] == broken


async def test_the_database_itself_refuses_a_second_charge_or_end_of_a_job(ledger, owner):
    await rich(ledger, "a")
    await ledger.execute(order("a", "o"), key="order:o")
    insert = """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
                SELECT max(position) + 1, $1, $2, $3, '{"job":"o-1"}', 0, sha256('x') FROM events"""
    with pytest.raises(asyncpg.UniqueViolationError, match="one_charge_per_job"):
        await owner.execute(insert, "account-b", 1, "CreditsCharged")
    await owner.execute(insert, "job-o-1", 2, "JobSucceeded")
    with pytest.raises(asyncpg.UniqueViolationError, match="one_end_per_job"):
        await owner.execute(insert, "job-o-1", 3, "JobFailed")
    await owner.execute(insert, "account-a", 5, "CreditsRefunded")
    with pytest.raises(asyncpg.UniqueViolationError, match="one_refund_per_job"):
        await owner.execute(insert, "account-a", 6, "CreditsRefunded")


@pytest.mark.parametrize("text", ["\\u0000", "a\\ud800b", "\\udc00"])
async def test_text_that_breaks_jsonb_cannot_enter(owner, text):
    insert = """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
                VALUES (1, 's', 1, 'T', $1, 0, sha256('x'))"""
    with pytest.raises(asyncpg.PostgresError):
        await owner.execute(insert, f'{{"a":"{text}"}}')
    await owner.execute(insert, '{"a":"\\u0001\\\\u0000ж"}')  # a control character and a backslash do
    assert await owner.fetchval("SELECT data ->> 'a' FROM events") == "\x01\\u0000ж"


async def test_migrating_twice_and_at_once_is_migrating_once(empty_database_url):
    done = await asyncio.gather(*[migrations.migrate(empty_database_url) for _ in range(4)])
    assert sorted(map(len, done)) == [0, 0, 0, len(migrations.migration_files("ledger.migrations"))]
    assert await migrations.migrate(empty_database_url) == []


async def test_an_applied_migration_that_changed_is_an_error(empty_database_url, monkeypatch):
    await migrations.migrate(empty_database_url)
    monkeypatch.setattr(migrations, "migration_files", lambda package: [("0001_log.sql", "SELECT 1")])
    with pytest.raises(IntegrityError, match=r"0001_log\.sql was applied and has changed"):
        await migrations.migrate(empty_database_url)
