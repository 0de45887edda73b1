"""The table of signed notes: append-only, and every way in which it and the log can contradict each other."""

import asyncpg
import pytest

from events.envelope import GENESIS, Cursor
from ledger.checkpoints.checkpoint import Checkpoint, Restored
from ledger.checkpoints.signed_note import NoteMismatchError, new_key
from ledger.checkpoints.store import hash_at, newest_checkpoint, store, stored
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import order, rich
from tests.support.each import each
from tests.support.notes import unkept

KEY = new_key("neurocards/test")
ELSEWHERE = b"\x05" * 32


def checkpoint(place: Cursor, time_us: int = 1) -> str:
    return KEY.sign(Checkpoint("neurocards/test", place, bytes(32), (), None, time_us).text())


def restored(lost: Cursor, kept: Cursor, head: Cursor, time_us: int = 2) -> str:
    return KEY.sign(Restored("neurocards/test", lost, kept, head, "anna", "why", time_us).text())


@pytest.fixture
async def head(ledger: Ledger, pool) -> Cursor:
    await rich(ledger, "a")
    await ledger.execute(order("a", "o"), key="order:o")
    found = await ledger.read.head()
    assert found.position == 5
    return found


async def at(pool, position: int) -> Cursor:
    hash_ = await hash_at(pool, position)
    assert hash_ is not None
    return Cursor(position, hash_)


@each("role", ["owner", "neurocards_app", "neurocards_reader"])
@each(
    "statement",
    ["UPDATE checkpoints SET note = note", "DELETE FROM checkpoints", "TRUNCATE checkpoints"],
)
async def test_nobody_rewrites_a_note(pool, owner, role, statement):
    await store(pool, checkpoint(GENESIS))
    await owner.execute("RESET ROLE" if role == "owner" else f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute(statement)


async def test_an_auditor_reads_notes_and_adds_none(pool, owner):
    await store(pool, checkpoint(GENESIS))
    await owner.execute("SET ROLE neurocards_reader")
    assert len(await stored(owner)) == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await store(owner, checkpoint(GENESIS))


async def test_notes_come_back_as_they_were(pool, head):
    texts = [checkpoint(await at(pool, n), n) for n in (0, 3, 5)] + [restored(head, GENESIS, head)]
    for text in texts:
        await store(pool, text)
    assert [note.note for note in await stored(pool)] == texts
    assert [note.note for note in await stored(pool, kind="restored")] == texts[3:]
    newest = await newest_checkpoint(pool, at_least=4)
    assert newest is not None and newest.note == texts[2]
    assert await newest_checkpoint(pool, at_least=6) is None
    assert await unkept(pool, [KEY.public]) == []


@pytest.mark.parametrize(
    ("place", "said"),
    [(Cursor(6, ELSEWHERE), "the log: it ends before"), (Cursor(4, ELSEWHERE), "another hash")],
)
async def test_a_note_ahead_of_the_log_or_of_another_history_is_damage(pool, head, place, said):
    await store(pool, checkpoint(place))
    (damage,) = await unkept(pool)
    assert damage.position == place.position and said in damage.message


async def test_a_restoration_explains_what_it_lost_and_no_more(pool, head):
    kept = await at(pool, 3)
    for place in (Cursor(4, ELSEWHERE), Cursor(9, ELSEWHERE)):
        await store(pool, checkpoint(place))
    await store(pool, restored(Cursor(9, ELSEWHERE), kept, head))
    assert await unkept(pool, [KEY.public]) == []
    await store(pool, checkpoint(Cursor(10, ELSEWHERE)))
    await store(pool, checkpoint(Cursor(3, ELSEWHERE)))
    await store(pool, checkpoint(Cursor(4, ELSEWHERE), time_us=3))
    assert [damage.position for damage in await unkept(pool)] == [10, 3, 4]


async def test_a_restoration_that_the_log_does_not_bear_out_explains_nothing(pool, head):
    await store(pool, checkpoint(Cursor(9, ELSEWHERE)))
    await store(pool, restored(Cursor(9, ELSEWHERE), Cursor(3, ELSEWHERE), head))
    assert [damage.position for damage in await unkept(pool)] == [9]


async def test_restorations_explain_each_other(pool, head):
    """Restored to 4, grown to 7, restored to 3: the first statement's head is gone too, and that is said."""
    await store(pool, checkpoint(Cursor(9, ELSEWHERE), 1))
    await store(pool, restored(Cursor(9, ELSEWHERE), Cursor(4, b"\4" * 32), Cursor(7, b"\7" * 32), 2))
    assert [damage.position for damage in await unkept(pool)] == [9, 7]
    await store(pool, restored(Cursor(7, b"\7" * 32), await at(pool, 3), head, 3))
    assert await unkept(pool, [KEY.public]) == []


async def test_a_note_replaced_behind_our_back_is_damage(pool, owner, head):
    await store(pool, checkpoint(await at(pool, 3)))
    await owner.execute("ALTER TABLE checkpoints DISABLE TRIGGER ALL")
    forged = new_key("neurocards/test").sign(Checkpoint("o", head, bytes(32), (), None, 1).text())
    await owner.execute("UPDATE checkpoints SET note = $1", forged)
    with pytest.raises(NoteMismatchError, match="not what its note says"):
        await stored(pool)
    await owner.execute("UPDATE checkpoints SET position = $1, hash = $2", head.position, head.hash)
    assert await unkept(pool) == []
    assert "is not signed by" in (await unkept(pool, [KEY.public]))[0].message
