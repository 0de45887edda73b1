"""Promise 3: Nothing is rewritten.

Events are append-only by privilege and by trigger; a hash chain shows any edit, deletion inside, reordering
or insertion made behind the system's back, and a signed checkpoint held elsewhere shows a rewritten or
truncated chain.
"""

import asyncpg
import pytest

from events.envelope import GENESIS_HASH
from ledger.checkpoints.store import stored
from ledger.errors import IntegrityError
from ledger.log.hash_chain import follows
from tests.integration.ledger.conftest import order, rich
from tests.integration.services.relay.conftest import truncate_log
from tests.support.each import each
from tests.support.notes import make_note, said

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
    "INSERT INTO checkpoints (number, kind, position, hash, note)"
    " VALUES (1, 'checkpoint', 0, sha256(''), '') ON CONFLICT (number) DO UPDATE SET note = 'x'",
]


@each("role", ["owner", "neurocards_app", "neurocards_reader"])
@each("statement", REWRITES)
async def test_rewriting_is_refused_to_everyone(ledger, owner, statement, role):
    await rich(ledger, "a")
    await owner.execute("RESET ROLE" if role == "owner" else f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute(statement)


@each(
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
    await owner.execute("SET ROLE neurocards_reader")
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


@pytest.mark.parametrize("where", ["table", "folder"])
async def test_a_log_that_lost_its_tail_is_not_signed(traffic, ledger, pool, owner, where):
    await traffic.play(20)
    note = await make_note(ledger)
    head = said(note).size
    await truncate_log(owner, head - 3)
    if where == "folder":
        await owner.execute("ALTER TABLE checkpoints DISABLE TRIGGER ALL")
        await owner.execute("DELETE FROM checkpoints")
    with pytest.raises(IntegrityError, match=rf"position {head} is not in the log.*neurocards recover"):
        await make_note(ledger, kept_notes=[note.note])
    assert len(await stored(pool)) == (where == "table")
