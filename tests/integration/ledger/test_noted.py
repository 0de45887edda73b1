"""The table of signed notes: append-only, and every way in which it and the log can contradict each other."""

import asyncio

import asyncpg
import pytest

from events.envelope import GENESIS, Cursor
from ledger.checkpoints.checkpoint import Checkpoint, Restored
from ledger.checkpoints.merkle_store import Tree
from ledger.checkpoints.signed_note import NoteMismatchError, new_key
from ledger.checkpoints.store import hash_at, newest_checkpoint, store, stored
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import order, rich
from tests.support.each import each
from tests.support.locks import WAITING
from tests.support.notes import unkept
from tests.support.waiting import eventually

KEY = new_key("neurocards/test")
ELSEWHERE = b"\x05" * 32


async def checkpoint(pool, size: int, root: bytes = b"", origin: str = KEY.name) -> str:
    """Of the log as it is up to there, or as the root says."""
    roots = await Tree(pool, tiles=False).roots([size])
    return KEY.named(origin).sign(Checkpoint(origin, size, root or roots[size]).text())


def restored(lost: Cursor, kept: Cursor, head: Cursor, time_us: int = 2, origin: str = KEY.name) -> str:
    return KEY.named(origin).sign(Restored(origin, lost, kept, head, "anna", "why", time_us).text())


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
    await store(pool, await checkpoint(pool, 0))
    await owner.execute("RESET ROLE" if role == "owner" else f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute(statement)


async def test_an_auditor_reads_notes_and_adds_none(pool, owner):
    await store(pool, await checkpoint(pool, 0))
    await owner.execute("SET ROLE neurocards_reader")
    assert len(await stored(owner)) == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await store(owner, await checkpoint(owner, 0))


async def test_notes_come_back_as_they_were(pool, head):
    texts = [await checkpoint(pool, n) for n in (0, 3, 5)] + [restored(head, GENESIS, head)]
    for text in texts:
        await store(pool, text)
    assert [note.note for note in await stored(pool)] == texts
    assert [note.note for note in await stored(pool, kind="restored")] == texts[3:]
    newest = await newest_checkpoint(pool, at_least=4)
    assert newest is not None and newest.note == texts[2]
    assert await newest_checkpoint(pool, at_least=6) is None
    older = await newest_checkpoint(pool, at_most=4)
    assert older is not None and (older.number, older.note) == (2, texts[1])
    assert await unkept(pool, [KEY.public]) == []


@pytest.mark.parametrize(("size", "said"), [(6, "the log: it ends before"), (4, "give another root")])
async def test_a_note_ahead_of_the_log_or_of_another_history_is_damage(pool, head, size, said):
    await store(pool, await checkpoint(pool, size, ELSEWHERE))
    (damage,) = await unkept(pool)
    assert damage.position == size and said in damage.message


async def test_a_restoration_explains_what_it_lost_and_no_more(pool, head):
    kept = await at(pool, 3)
    for size in (4, 9):
        await store(pool, await checkpoint(pool, size, ELSEWHERE))
    await store(pool, restored(Cursor(9, ELSEWHERE), kept, head))
    assert await unkept(pool, [KEY.public]) == []
    await store(pool, await checkpoint(pool, 10, ELSEWHERE))
    await store(pool, await checkpoint(pool, 3, ELSEWHERE))
    await store(pool, await checkpoint(pool, 4, ELSEWHERE, f"{KEY.name}/2"))  # signed after the restoration
    assert [damage.position for damage in await unkept(pool)] == [10, 3, 4]


async def test_a_restoration_that_the_log_does_not_bear_out_explains_nothing(pool, head):
    await store(pool, await checkpoint(pool, 9, ELSEWHERE))
    await store(pool, restored(Cursor(9, ELSEWHERE), Cursor(3, ELSEWHERE), head))
    assert [damage.position for damage in await unkept(pool)] == [9]


async def test_restorations_explain_each_other(pool, head):
    """Restored to 4, grown to 7, restored to 3: the first statement's head is gone too, and that is said."""
    await store(pool, await checkpoint(pool, 9, ELSEWHERE))
    await store(pool, restored(Cursor(9, ELSEWHERE), Cursor(4, b"\4" * 32), Cursor(7, b"\7" * 32), 2))
    assert [damage.position for damage in await unkept(pool)] == [9, 7]
    await store(pool, restored(Cursor(7, b"\7" * 32), await at(pool, 3), head, 3, f"{KEY.name}/2"))
    assert await unkept(pool, [KEY.public]) == []


async def test_a_note_replaced_behind_our_back_is_damage(pool, owner, head):
    await store(pool, await checkpoint(pool, 3))
    await owner.execute("ALTER TABLE checkpoints DISABLE TRIGGER ALL")
    other = (await Tree(pool, tiles=False).roots([5]))[5]
    forged = new_key(KEY.name).sign(Checkpoint(KEY.name, 5, other).text())
    await owner.execute("UPDATE checkpoints SET note = $1", forged)
    with pytest.raises(NoteMismatchError, match="not what its note says"):
        await stored(pool)
    await owner.execute("UPDATE checkpoints SET position = $1, hash = $2", head.position, head.hash)
    assert await unkept(pool) == []
    assert "is not signed by" in (await unkept(pool, [KEY.public]))[0].message


async def test_two_notes_at_once_do_not_take_one_number(pool, owner, head):
    note = await checkpoint(pool, 3)
    async with pool.acquire() as other, other.transaction():
        assert (await store(other, note)).number == 1
        waiting = asyncio.create_task(store(owner, note))
        await eventually(lambda: is_waiting(pool), what="the second one waits for the first")
    with pytest.raises(asyncpg.UniqueViolationError):
        await waiting
    assert (await store(pool, note)).number == 2


async def is_waiting(pool) -> bool:
    return bool(await pool.fetchval(WAITING))
