"""What a recovery explains and what not; Redis that came back otherwise; the command."""

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from ledger.checkpoints.checkpoint import Checkpoint, Restored, parse
from ledger.checkpoints.signed_note import new_key
from ledger.checkpoints.store import stored
from projections.checkpoints import verify_statement
from projections.verify.run import check_ledger
from services.platform.redis_keys import EPOCH, JOBS, LEDGER
from services.recovery.checkpoint_files import keep_note, kept_notes
from services.streams.entries import encode_entry, entry_id
from tests.integration.services.recovery.world import (
    KEY,
    Dump,
    Story,
    everything_published,
    explained,
    in_line,
    put_log_back,
    relay_halted,
)
from tests.integration.services.relay.conftest import Running
from tests.support.fork_server import neurocards
from tests.support.services import clean_environment
from tests.support.waiting import eventually


@pytest.mark.chaos
async def test_what_no_restore_explains_stays_unexplained(story: Story, dump: Dump) -> None:
    world = story.world
    await dump.put_back()
    await eventually(relay_halted, what="the relay stops with an alarm")
    await world.recover()
    for origin, size in ((KEY.name, story.signed.size + 1), (f"{KEY.name}/2", story.signed.size)):
        forged = Checkpoint(origin, size, bytes(32))
        (damage,) = (await verify_statement(world.pool, forged, [KEY.public])).damage
        assert damage.position == size and "no restoration explains it" in damage.message
    (damage,) = (await verify_statement(world.pool, replace(story.signed, size=story.n), [KEY.public])).damage
    assert damage.position == story.n
    assert (await verify_statement(world.pool, story.signed, [new_key("other").public])).damage


@pytest.mark.chaos
async def test_a_second_restore_after_a_recovery_is_another_loss(story: Story, dump: Dump) -> None:
    world = story.world
    for _ in range(2):
        await dump.put_back()
        await eventually(relay_halted, what="the relay stops with an alarm")
        world.notifier = world.new_notifier()
        await world.recover()
        await eventually(lambda: not relay_halted(), what="the relay goes on")
        await world.play("more-", 5)
        await world.caught_up()
        await eventually(lambda: everything_published(world), what="everything is published")
    notes = kept_notes(world.folder)
    assert sum(isinstance(parse(note), Restored) for note in notes) == 2
    assert len(await stored(world.pool, kind="restored")) == 1  # the first one went with the second restore
    assert (await verify_statement(world.pool, story.signed, [KEY.public], notes)).damage == []


async def test_a_redis_that_came_back_empty_or_of_another_system(story: Story) -> None:
    world = story.world
    await world.relay.end()
    await world.redis.flushall()
    plan = await world.recover()
    assert (plan.streams.are, plan.lost) == ("empty", None)
    assert await everything_published(world)
    assert (await world.plan()).nothing_to_do

    open_job = entry_id((await world.ledger.read.open_jobs())[0].position)
    for spoil in (("DEL", JOBS), ("DEL", EPOCH), ("XDEL", JOBS, open_job)):
        await world.redis.execute_command(*spoil)
        plan = await world.recover()
        assert (plan.streams.are, plan.lost) == ("incomplete", None)
        assert await everything_published(world)

    strange = replace((await world.ledger.read.events_after(2, 1))[0], hash=b"\x07" * 32)
    for position in (3, story.n):
        await world.redis.flushall()
        entry = encode_entry(replace(strange, position=position))
        await world.redis.xadd(LEDGER, {"event": entry}, id=entry_id(position))
        plan = await world.recover()
        assert (plan.streams.are, plan.lost) == ("of another history", None)
        assert await everything_published(world)
    world.relay = Running(world.settings, world.pool, world.redis, {})
    await in_line(story)


@pytest.mark.chaos
async def test_a_tampered_log_is_not_explained_by_recovering(story: Story, owner: Any) -> None:
    """What was signed later still stands, so this is no restore."""
    world = story.world
    forged = Checkpoint(KEY.name, 5, bytes(32))
    keep_note(world.folder, KEY.sign(forged.text()))
    plan = await world.plan()
    assert plan.lost is None and len(plan.unexplained) == 1
    assert "position 5" in plan.unexplained[0] and plan.nothing_to_do


async def test_the_command_shows_the_plan_asks_and_does_it(story: Story, dump: Dump) -> None:
    world = story.world
    key, words = world.folder / "key", ("--reason", "a dump was put back")
    key.write_text(KEY.reveal())
    await dump.put_back()
    await eventually(relay_halted, what="the relay stops with an alarm")

    asked = await command(story, *words, "-o", "json")
    assert asked.returncode == 2 and "repeat with --yes" in asked.stderr
    actions = {row["part"]: row["action"] for row in json.loads(asked.stdout)}
    lost = story.signed.size
    assert actions["log"] == f"sign that it went back: kept up to {story.n}, lost up to {lost}"
    assert actions["streams"] and not actions["projection balances"]
    assert relay_halted() and not await stored(world.pool)

    done = await command(story, *words, "--yes")
    assert done.returncode == 0, done.stderr
    await explained(story)
    world.notifier = world.new_notifier()
    await in_line(story)


async def command(story: Story, *arguments: str) -> Any:
    settings, folder = story.world.settings, story.world.folder
    env = {
        "DATABASE_URL": settings.require_database_url(), "REDIS_URL": settings.require_redis_url(),
        "CHECKPOINT_KEY_FILE": str(folder / "key"), "CHECKPOINT_DIR": str(folder),
    }  # fmt: skip
    return await asyncio.to_thread(
        neurocards, ("recover", *arguments), cwd=folder, env=clean_environment(COLUMNS=120, **env)
    )


@pytest.mark.chaos
async def test_a_redis_that_came_back_old_is_the_relays_to_bring_up(story: Story) -> None:
    world = story.world
    await world.relay.end()
    old = {key: await world.redis.dump(key) for key in (LEDGER, JOBS, EPOCH)}
    world.relay = Running(world.settings, world.pool, world.redis, {})
    await world.play("on-", 10)
    await eventually(lambda: everything_published(world), what="everything is published")
    await world.relay.end()
    for key, value in old.items():
        assert value is not None
        await world.redis.restore(key, 0, value, replace=True)
    plan = await world.plan()
    assert plan.streams.are == "behind" and plan.nothing_to_do
    world.relay = Running(world.settings, world.pool, world.redis, {})
    await in_line(story)


async def test_a_recovery_that_was_killed_halfway_is_finished_by_the_next(
    story: Story, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = story.world
    await put_log_back(owner, story.n)
    await eventually(relay_halted, what="the relay stops with an alarm")

    async def die(*_: object, **__: object) -> None:
        raise ConnectionError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("services.recovery.apply.rebuild", die)
        with pytest.raises(ConnectionError):
            await world.recover()
    plan = await world.recover()
    assert plan.lost is None and plan.projections and plan.make_streams
    assert len(await stored(world.pool, kind="restored")) == 1
    await explained(story)
    world.notifier = world.new_notifier()
    await in_line(story)


@pytest.mark.chaos
async def test_without_a_key_everything_is_brought_into_line_and_nothing_signed(
    story: Story, dump: Dump
) -> None:
    world = story.world
    await dump.put_back()
    await eventually(relay_halted, what="the relay stops with an alarm")
    world.notifier = world.new_notifier()
    await world.recover(signed=False)
    assert any("nothing was signed" in words for words in world.said)
    assert await stored(world.pool) == []
    await eventually(lambda: not relay_halted(), what="the relay goes on")
    await world.caught_up()
    assert await check_ledger(world.pool) == []
