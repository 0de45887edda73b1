"""Checkpoints of a real log: what they state is true, and a log that contradicts them is not signed again."""

import contextlib
from hashlib import sha256

import pytest
from msgspec.structs import replace

from events.envelope import Cursor
from events.system import Predecessor
from ledger import commands as c
from ledger.checkpoints.checkpoint import Restored, open_statement, rotate
from ledger.checkpoints.merkle import leaf_hash, root_of, root_of_path
from ledger.checkpoints.merkle_store import Tree, forget_tiles
from ledger.checkpoints.signed_note import SignatureError, new_key, open_note
from ledger.checkpoints.store import hash_at, stated_until, store, stored
from ledger.errors import IntegrityError, InvalidCommandError
from ledger.log.ledger import Ledger
from ledger.system.commands import RotateKey
from projections import checkpoints as sign
from projections.checkpoints import (
    CheckpointUnderWayError,
    make_checkpoint,
    rebuilt_states,
    verify_statement,
)
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.engine.state_root import build
from projections.verify.run import check_ledger, verify_on
from tests.integration.services.relay.conftest import truncate_log
from tests.support.notes import KEY, make_note, said, told
from tests.support.state_roots import state_root
from tests.support.traffic import Traffic

BY = ("login:neurocards_operator", "its time had come")
NOW_US = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


async def project(ledger, pool) -> None:
    """Bring every projection to the head."""
    for projection in PROJECTIONS.values():
        runner = Runner(pool, projection)
        cursor = await runner.cursor()
        while events := await ledger.read.events_after(cursor.position, 1000):
            cursor = await runner.apply(events)


async def hashes(ledger) -> list[bytes]:
    return [event.hash async for event in ledger.read.scan()]


@pytest.fixture
async def traffic(ledger: Ledger) -> Traffic:
    return Traffic(ledger)


async def test_an_empty_log_can_be_signed(ledger, pool):
    note = await make_note(ledger)
    assert (said(note).size, said(note).root) == (1, root_of(await hashes(ledger)))
    first = await told(pool, note)
    assert first.previous is None and first.key == str(KEY.public)
    assert await rebuilt_states(pool, first) == []


async def test_what_is_stated_names_what_was_signed_before_and_nothing_is_stated_twice(traffic, ledger, pool):
    await traffic.play(5)
    one = await make_note(ledger)
    assert await make_checkpoint(ledger, KEY, program="0.1.0") is None  # nothing came since
    await traffic.play(5)
    other = await make_note(ledger)
    digest = sha256(one.note.encode()).hexdigest()
    assert (await told(pool, other)).previous == Predecessor(
        KEY.name, said(one).size, said(one).root.hex(), digest
    )
    assert other.note.count("\n") == 5 and [note.number for note in await stored(pool)] == [1, 2]
    assert await check_ledger(pool) == []


async def test_what_was_stated_and_not_signed_is_signed_by_who_comes_next(traffic, ledger, pool, monkeypatch):
    await traffic.play(5)
    with monkeypatch.context() as dying:
        dying.setattr(sign, "store", die)
        with pytest.raises(OSError, match="disk"):
            await make_note(ledger)
    stated = (await ledger.read.head()).position
    await traffic.play(3)
    assert said(await make_note(ledger)).size == stated
    assert said(await make_note(ledger)).size == (await ledger.read.head()).position > stated + 1
    assert await check_ledger(pool) == []


async def test_a_restoration_ends_what_was_stated_and_not_signed(traffic, ledger, pool, owner, monkeypatch):
    await traffic.play(5)
    with monkeypatch.context() as dying:
        dying.setattr(sign, "store", die)
        with pytest.raises(OSError, match="disk"):
            await make_note(ledger)
    kept = await ledger.read.head()
    await traffic.play(3)
    restored = Restored(KEY.name, await ledger.read.head(), kept, kept, "a", "r", await pool.fetchval(NOW_US))
    await truncate_log(owner, kept.position)
    await store(pool, KEY.sign(restored.text()))
    await Traffic(ledger, prefix="b").play(3)
    assert said(await make_note(ledger)).origin == f"{KEY.name}/2"


async def die(*_: object) -> None:
    raise OSError("disk")


async def test_rows_that_are_gone_are_not_signed_though_tiles_vouch_for_them(traffic, ledger, pool, owner):
    await traffic.play(300)
    await make_note(ledger)
    assert await pool.fetchval("SELECT count(*) FROM tree_tiles") > 0
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("DELETE FROM events WHERE position <= 100")
    await ledger.execute(c.GrantCredits("a0", 1, "manual", "x"), key="grant")
    with pytest.raises(IntegrityError, match="nothing is signed: of"):
        await make_note(ledger)


async def test_a_row_under_an_old_note_that_was_changed_is_not_signed(traffic, ledger, pool, owner):
    await traffic.play(5)
    old = said(await make_note(ledger))
    await traffic.play(5)
    await make_note(ledger)
    await traffic.play(1)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("UPDATE events SET hash = sha256('x') WHERE position = $1", old.size)
    with pytest.raises(IntegrityError, match=f"by the stored checkpoint of {old.size}"):
        await make_note(ledger)


async def test_another_key_signs_only_when_the_old_one_says_so(traffic, ledger, pool):
    await traffic.play(5)
    first = await make_note(ledger)
    await traffic.play(5)
    new, thief = new_key(KEY.name), new_key(KEY.name)
    for key in (new, thief):
        with pytest.raises(InvalidCommandError, match=r"signed by .*, not by"):
            await make_checkpoint(ledger, key, program="0.1.0")
    with pytest.raises(InvalidCommandError, match="only that one hands over"):
        await ledger.execute(RotateKey(rotate(thief, new, *BY)), key="stolen")
    await ledger.execute(RotateKey(rotate(KEY, new, *BY)), key="rotated")
    with pytest.raises(InvalidCommandError):
        await make_note(ledger)
    both = await make_checkpoint(ledger, new, KEY, program="0.1.0")
    assert both is not None
    for public in (new.public, KEY.public):
        assert open_statement(both.note, public) == both.statement
    await traffic.play(5)
    alone = await make_checkpoint(ledger, new, program="0.1.0")
    assert alone is not None and alone.note.count("— ") == 1
    for keys in ([new.public], [KEY.public]):  # each finds the other in the log
        async with pool.acquire() as connection:
            assert (await verify_on(connection, keys=keys)).problems == []
    assert (await verify_statement(pool, first.statement, [new.public])).damage == []


async def test_a_change_of_key_that_the_old_one_did_not_sign_is_found(traffic, ledger, pool):
    """By a service that may append it: the functions of the log look at no signature."""
    await traffic.play(5)
    await make_note(ledger)
    thief = new_key(KEY.name)
    forged = replace(rotate(thief, thief, *BY), old=str(KEY.public))
    await ledger.execute(RotateKey(forged), key="forged")
    with pytest.raises(SignatureError, match="is not signed"):
        await make_checkpoint(ledger, thief, program="0.1.0")
    async with pool.acquire() as connection:
        problems = (await verify_on(connection, keys=[KEY.public])).problems
    assert [problem.kind for problem in problems] == ["checkpoint"]


async def test_notes_that_were_deleted_are_missed(traffic, ledger, pool, owner):
    for _ in range(3):
        await traffic.play(3)
        await make_note(ledger)
    sizes = [said(note).size for note in await stored(pool)]
    await owner.execute("ALTER TABLE checkpoints DISABLE TRIGGER ALL")
    await owner.execute("DELETE FROM checkpoints WHERE number = 2")
    found = [(p.kind, p.position) for p in await check_ledger(pool) if p.kind != "guard"]
    assert found == [("checkpoint", sizes[2]), ("checkpoint", sizes[1])]
    await owner.execute("DELETE FROM checkpoints")
    found = [(p.kind, p.position) for p in await check_ledger(pool) if p.kind != "guard"]
    assert found == [("checkpoint", sizes[0]), ("checkpoint", sizes[1])]


async def test_projections_that_came_later_catch_up_and_leave_older_notes_true(
    traffic, ledger, pool, owner, monkeypatch
):
    await traffic.play(30)
    await project(ledger, pool)
    late = ("lots", "job_times", "error_stats", "daily")
    with monkeypatch.context() as before:  # as it was signed when there were only the others
        before.setattr(sign, "PROJECTIONS", {n: p for n, p in PROJECTIONS.items() if n not in late})
        old = await told(pool, await make_note(ledger))
    assert not {state.name for state in old.states} & set(late)
    for name in late:  # as the migration leaves them
        await owner.execute(f"TRUNCATE {name}_v1")
        await owner.execute("UPDATE cursors SET position = 0, hash = DEFAULT WHERE name = $1", name)

    assert await check_ledger(pool) == []
    await traffic.play(1)
    young = await told(pool, await make_note(ledger))
    assert {state.position for state in young.states if state.name in late} == {0}
    await traffic.play(1)
    await project(ledger, pool)
    assert await check_ledger(pool) == []
    note = await make_note(ledger)
    new = await told(pool, note)
    assert {state.position for state in new.states} == {said(note).size - 1}
    for stated in (old, young, new):
        assert await rebuilt_states(pool, stated) == []


async def test_a_checkpoint_says_what_is_true(traffic, ledger, pool):
    await traffic.play(60)
    await project(ledger, pool)
    await traffic.play(5)
    note = await make_note(ledger)
    checkpoint = said(note)
    assert checkpoint == said((await stored(pool))[0])
    assert open_note(note.note, KEY.public) == checkpoint.text()
    assert note.place == await ledger.read.head() and checkpoint.size == note.place.position
    stated = await told(pool, note)
    assert checkpoint.root == root_of(await hashes(ledger))
    for state in stated.states:
        live = await state_root(pool, state.name)
        assert (live.cursor.position, live.root) == (state.position, state.root)
    assert await rebuilt_states(pool, stated) == []
    assert stated.books is not None
    totals = dict(stated.books.totals)
    _, rows = await build(ledger.read, "balances", stated.books.position)
    assert totals["balance"] == sum(row.balance for row in rows.values()) > 0
    moved = totals["granted"] - totals["charged"] + totals["refunded"] - totals["revoked"] - totals["expired"]
    assert moved == totals["balance"]


async def test_a_signed_state_that_the_log_does_not_give_is_named(traffic, ledger, pool, owner):
    await traffic.play(30)
    await project(ledger, pool)
    await owner.execute("UPDATE balances SET balance = balance + 5 WHERE account = 'a1'")
    stated = await told(pool, await make_note(ledger))
    wrong = await rebuilt_states(pool, stated)
    assert len(wrong) == 1 and wrong[0].startswith("state balances at")
    [unfounded] = await rebuilt_states(pool, replace(stated, books=None))
    assert "without its books" in unfounded


@pytest.fixture
async def long_log(owner) -> int:
    """Rows enough for tiles of two levels. Only their hashes matter here."""
    size = 66_000
    await owner.execute(
        """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
           SELECT n, 'account-a', n, 'TermsAccepted', '{"terms":"1"}',
                  (extract(epoch FROM now()) * 1000000)::bigint - $1 + n, sha256(n::text::bytea)
           FROM generate_series(1, $1) AS n""",
        size,
    )
    return size


async def test_roots_and_proofs_are_the_same_from_tiles_and_from_rows(long_log, ledger, pool):
    data = await hashes(ledger)
    await Tree(pool).extend(65_000)
    await Tree(pool).extend(long_log)
    sizes = {row["level"]: row["n"] for row in await pool.fetch(
        "SELECT level, count(*) AS n FROM tree_tiles GROUP BY level")}  # fmt: skip
    assert sizes == {1: 257, 2: 1}
    for size in (1, 255, 256, 257, 65_535, 65_536, 65_537, long_log):
        root = root_of(data[:size])
        assert await Tree(pool).root(size) == await Tree(pool, tiles=False).root(size) == root
        for position in {1, size // 2 + 1, size}:
            path = await Tree(pool).path(position, size)
            assert path == await Tree(pool, tiles=False).path(position, size)
            assert root_of_path(position - 1, size, leaf_hash(data[position - 1]), path) == root


async def test_missing_tiles_are_read_from_below(long_log, pool, owner):
    whole = await Tree(pool, tiles=False).root(long_log)
    await Tree(pool).extend(long_log)
    for damage in ("level = 2", "level = 1 AND index = 7", "true"):
        await owner.execute(f"DELETE FROM tree_tiles WHERE {damage}")
        assert await Tree(pool).root(long_log) == whole
    await Tree(pool).extend(long_log)
    await forget_tiles(pool, 65_600)
    assert await pool.fetchval("SELECT count(*) FROM tree_tiles") == 257


async def test_a_log_with_a_hole_has_no_root(long_log, pool, owner):
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("DELETE FROM events WHERE position = 300")
    with pytest.raises(IntegrityError, match="every position from 1 to"):
        await Tree(pool).root(long_log)


async def test_damaged_tiles_never_reach_a_signature(long_log, ledger, pool, owner):
    first = said(await make_note(ledger))
    await owner.execute("UPDATE tree_tiles SET hash = sha256('x') WHERE level = 2")
    await owner.execute("INSERT INTO tree_tiles VALUES (1, 257, sha256('x'))")
    assert await Tree(pool).root(long_log) != await Tree(pool, tiles=False).root(long_log)
    await ledger.execute(c.OpenAccount("b", "0" * 64), key="open")
    second = said(await make_note(ledger))
    assert (
        second.root == await Tree(pool, tiles=False).root(second.size) == await Tree(pool).root(second.size)
    )
    assert await Tree(pool).root(first.size) == first.root


async def test_hashes_that_were_rewritten_below_a_signature_are_not_signed_again(
    long_log, ledger, pool, owner
):
    await make_note(ledger)
    await ledger.execute(c.OpenAccount("b", "0" * 64), key="open")
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("UPDATE events SET hash = sha256('x') WHERE position = 300")
    await owner.execute("DELETE FROM tree_tiles")
    with pytest.raises(IntegrityError, match="the hashes up to there give another root"):
        await make_note(ledger)


async def test_after_a_signed_restoration_the_log_begins_anew_under_the_next_name(
    traffic, ledger, pool, owner
):
    await traffic.play(20)
    kept = said(await make_note(ledger))
    await traffic.play(3)
    lost = await make_note(ledger)
    await truncate_log(owner, kept.size)
    hash_ = await hash_at(pool, kept.size)
    assert hash_ is not None
    place = Cursor(kept.size, hash_)
    restored = Restored(KEY.name, lost.place, place, place, "a", "r", await pool.fetchval(NOW_US))
    note = await store(pool, KEY.sign(restored.text()))
    await Traffic(ledger, prefix="b").play(10)
    made = await make_note(ledger)
    assert (said(made).origin, said(made).root) == (f"{KEY.name}/2", root_of(await hashes(ledger)))
    digest = sha256(note.note.encode()).hexdigest()
    before = Predecessor(KEY.name, kept.size, kept.root.hex(), digest)
    assert (await told(pool, made)).previous == before
    await Traffic(ledger, prefix="c").play(3)
    again = await make_note(ledger)
    assert said(again).origin == f"{KEY.name}/2"
    previous = (await told(pool, again)).previous
    assert previous is not None and previous.size == said(made).size
    async with pool.acquire() as connection:
        problems = (await verify_on(connection, keys=[KEY.public])).problems
    assert {problem.kind for problem in problems} <= {"open_jobs"}  # `recover` was not asked


async def test_a_projection_from_another_history_is_not_signed(traffic, ledger, owner):
    await traffic.play(10)
    await owner.execute("UPDATE cursors SET position = 3, hash = sha256('x') WHERE name = 'balances'")
    with pytest.raises(IntegrityError, match="balances has come to 3"):
        await make_note(ledger)


async def test_who_comes_second_makes_none(traffic, ledger, pool):
    await traffic.play(5)
    assert await make_checkpoint(ledger, KEY, program="0.1.0", every_s=3600) is not None
    await traffic.play(5)
    assert await make_checkpoint(ledger, KEY, program="0.1.0", every_s=3600) is None
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock($1)", sign._LOCK)
        with pytest.raises(CheckpointUnderWayError):
            await make_note(ledger)


async def test_a_statement_from_the_future_does_not_put_signing_to_sleep(traffic, ledger, pool, owner):
    await traffic.play(5)
    await make_note(ledger)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("UPDATE events SET recorded_at_us = recorded_at_us + 60 * 3600 * 1000000::bigint")
    await owner.execute("ALTER TABLE events ENABLE TRIGGER ALL")
    await ledger.execute(RotateKey(rotate(KEY, new_key(KEY.name), *BY)), key="something")
    until = await stated_until(pool)
    assert until is not None and until[0] > until[1]
    with pytest.raises(InvalidCommandError):  # it is due, and it is the old key that signs
        await make_checkpoint(ledger, KEY, program="0.1.0", every_s=3600)


async def test_a_failed_checkpoint_leaves_no_note(traffic, ledger, pool, monkeypatch):
    await traffic.play(5)
    monkeypatch.setattr(sign, "store", die)
    with contextlib.suppress(OSError):
        await make_note(ledger)
    assert await stored(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM tree_tiles") == 0
