"""Checkpoints of a real log: what they state is true, and a log that contradicts them is not signed again."""

import contextlib

import pytest

from events.envelope import Cursor
from ledger.checkpoints.checkpoint import Restored
from ledger.checkpoints.merkle import leaf_hash, root_of, root_of_path
from ledger.checkpoints.merkle_store import Tree, forget_tiles
from ledger.checkpoints.signed_note import new_key, open_note
from ledger.checkpoints.store import hash_at, store, stored
from ledger.errors import IntegrityError
from ledger.log.ledger import Ledger
from projections import checkpoints as sign
from projections.checkpoints import CheckpointUnderWayError, make_checkpoint, rebuilt_states
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.engine.state_root import build
from projections.verify.run import check_ledger
from tests.integration.services.relay.conftest import truncate_log
from tests.support.notes import KEY, make_note, said
from tests.support.state_roots import state_root
from tests.support.traffic import Traffic


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


async def test_an_empty_log_can_be_signed(pool):
    checkpoint = said(await make_note(pool))
    assert (checkpoint.head.position, checkpoint.root) == (0, root_of([]))
    assert await rebuilt_states(pool, checkpoint) == []


async def test_projections_that_came_later_catch_up_and_leave_older_notes_true(
    traffic, ledger, pool, owner, monkeypatch
):
    await traffic.play(30)
    await project(ledger, pool)
    late = ("lots", "job_times", "error_stats", "daily")
    with monkeypatch.context() as before:  # as it was signed when there were only the others
        before.setattr(sign, "PROJECTIONS", {n: p for n, p in PROJECTIONS.items() if n not in late})
        old = said(await make_note(pool))
    assert not {state.name for state in old.states} & set(late)
    for name in late:  # as the migration leaves them
        await owner.execute(f"TRUNCATE {name}_v1")
        await owner.execute("UPDATE cursors SET position = 0, hash = DEFAULT WHERE name = $1", name)

    assert await check_ledger(pool) == []
    young = said(await make_note(pool))
    assert {state.position for state in young.states if state.name in late} == {0}
    await project(ledger, pool)
    assert await check_ledger(pool) == []
    new = said(await make_note(pool))
    assert {state.position for state in new.states} == {new.head.position}
    for note in (old, young, new):
        assert await rebuilt_states(pool, note) == []


async def test_a_checkpoint_says_what_is_true(traffic, ledger, pool):
    await traffic.play(60)
    await project(ledger, pool)
    await traffic.play(5)
    note = await make_note(pool)
    checkpoint = said(note)
    assert checkpoint == said((await stored(pool))[0])
    assert open_note(note.note, KEY.public) == checkpoint.text()
    assert checkpoint.head == await ledger.read.head()
    assert checkpoint.root == root_of(await hashes(ledger))
    for state in checkpoint.states:
        live = await state_root(pool, state.name)
        assert (live.cursor.position, live.root) == (state.position, state.root)
    assert await rebuilt_states(pool, checkpoint) == []
    assert checkpoint.books is not None
    totals = dict(checkpoint.books.totals)
    _, rows = await build(ledger.read, "balances", checkpoint.books.position)
    assert totals["balance"] == sum(row.balance for row in rows.values()) > 0
    moved = totals["granted"] - totals["charged"] + totals["refunded"] - totals["revoked"] - totals["expired"]
    assert moved == totals["balance"]


async def test_a_signed_state_that_the_log_does_not_give_is_named(traffic, ledger, pool, owner):
    await traffic.play(30)
    await project(ledger, pool)
    await owner.execute("UPDATE balances SET balance = balance + 5 WHERE account = 'a1'")
    wrong = await rebuilt_states(pool, said(await make_note(pool)))
    assert len(wrong) == 1 and wrong[0].startswith("state balances at")


@pytest.fixture
async def long_log(owner) -> int:
    """Rows enough for tiles of two levels. Only their hashes matter here."""
    size = 66_000
    await owner.execute(
        """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
           SELECT n, 'account-a', n, 'TermsAccepted', '{"terms":"1"}', n, sha256(n::text::bytea)
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


async def test_damaged_tiles_never_reach_a_signature(long_log, pool, owner):
    first = said(await make_note(pool))
    await owner.execute("UPDATE tree_tiles SET hash = sha256('x') WHERE level = 2")
    await owner.execute("INSERT INTO tree_tiles VALUES (1, 257, sha256('x'))")
    assert await Tree(pool).root(long_log) != first.root
    assert said(await make_note(pool)).root == first.root
    assert await Tree(pool).root(long_log) == first.root


async def test_hashes_that_were_rewritten_below_a_signature_are_not_signed_again(long_log, pool, owner):
    await make_note(pool)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("UPDATE events SET hash = sha256('x') WHERE position = 300")
    await owner.execute("DELETE FROM tree_tiles")
    with pytest.raises(IntegrityError, match="hashes up to 66000 are not those of the checkpoint"):
        await make_note(pool)


async def test_after_a_signed_restoration_the_log_is_signed_again(traffic, ledger, pool, owner):
    await traffic.play(20)
    lost = said(await make_note(pool))
    kept = lost.head.position - 3
    await truncate_log(owner, kept)
    hash_ = await hash_at(pool, kept)
    assert hash_ is not None
    place = Cursor(kept, hash_)
    await store(
        pool, KEY.sign(Restored(KEY.name, lost.head, place, place, "a", "r", lost.time_us + 1).text())
    )
    await Traffic(ledger, prefix="b").play(10)
    assert said(await make_note(pool)).root == root_of(await hashes(ledger))


async def test_a_projection_from_another_history_is_not_signed(traffic, ledger, pool, owner):
    await traffic.play(10)
    await owner.execute("UPDATE cursors SET position = 3, hash = sha256('x') WHERE name = 'balances'")
    with pytest.raises(IntegrityError, match="balances has come to 3"):
        await make_note(pool)


async def test_who_comes_second_makes_none(traffic, pool):
    await traffic.play(5)
    assert await make_checkpoint(pool, KEY, every_s=3600) is not None
    assert await make_checkpoint(pool, KEY, every_s=3600) is None
    assert await make_checkpoint(pool, new_key("neurocards/test"), every_s=3600) is not None
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock($1)", sign._LOCK)
        with pytest.raises(CheckpointUnderWayError):
            await make_note(pool)


async def test_a_failed_checkpoint_leaves_nothing(traffic, pool, monkeypatch):
    await traffic.play(5)

    async def fail(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr(sign, "store", fail)
    with contextlib.suppress(OSError):
        await make_note(pool)
    assert await stored(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM tree_tiles") == 0
