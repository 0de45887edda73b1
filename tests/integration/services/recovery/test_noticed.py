"""Postgres goes back to n while everything else is at n + 50: noticed by all, and brought into line."""

from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from ledger import commands as c
from ledger.errors import IntegrityError
from projections.checkpoints import make_checkpoint, verify_statement
from projections.engine.registry import PROJECTIONS
from projections.verify.run import check_ledger
from services.recovery.checkpoint_files import kept_notes
from tests.integration.services.recovery.world import (
    KEY,
    Dump,
    Story,
    World,
    explained,
    in_line,
    projector_stopped,
    put_log_back,
    relay_halted,
    stream_length,
)
from tests.support.waiting import eventually


async def test_a_dump_put_back_is_noticed_by_everyone_and_recovered_from(story: Story, dump: Dump) -> None:
    world, n, lost = story.world, story.n, story.place
    length = await stream_length(world.redis)
    with capture_logs() as logs:
        await dump.put_back()
        await eventually(relay_halted, what="the relay stops with an alarm")
        stopped = {"event": "projection_stopped"}
        await eventually(lambda: any(stopped.items() <= log.items() for log in logs))
        with pytest.raises(IntegrityError, match="went back in time"):
            await noticed(world)
        # The appender goes on, on what the log says now, and says so.
        receipt = await world.ledger.execute(c.OpenAccount("late", "0" * 64), key="late")
    assert receipt.position == n + 1
    assert [log["log_level"] for log in logs if log["event"] == "log_went_back"] == ["error"]

    assert await stream_length(world.redis) == length
    await world.play("on-", 10)
    assert await check_ledger(world.pool) == []  # the projections follow the log that there is now
    assert relay_halted()
    with pytest.raises(IntegrityError, match="nothing is signed"):
        await make_checkpoint(world.ledger, KEY, program="0.1.0", kept_notes=kept_notes(world.folder))
    assert (await verify_statement(world.pool, story.signed, [KEY.public])).damage

    world.notifier = world.new_notifier()  # as its process, which has ended, starts again
    plan = await world.recover()
    assert (plan.kept.position, plan.lost) == (n, lost)
    restored = await explained(story)
    assert (restored.kept.position, restored.lost, restored.actor) == (n, lost, "anna")
    saved = next(world.folder.glob("lost-*")).read_bytes().splitlines()
    assert len(saved) == lost.position - n
    await in_line(story)


async def noticed(world: World) -> None:
    """The notifier's next look at the log, once the database is there again."""
    while True:
        try:
            await world.notifier.run_once()
        except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError):
            continue


@pytest.mark.chaos
async def test_only_the_log_put_back_what_is_ahead_is_rebuilt_and_nothing_sent_twice(
    story: Story, owner: Any
) -> None:
    world, n = story.world, story.n
    sent = await world.pool.fetch("SELECT job, kind FROM deliveries WHERE state = 'sent'")
    async with owner.transaction():
        await put_log_back(owner, n)
    await eventually(relay_halted, what="the relay stops with an alarm")
    await eventually(lambda: projector_stopped("balances"), what="the projector stops")
    with pytest.raises(IntegrityError, match="went back in time"):
        await world.notifier.run_once()
    with capture_logs() as logs:
        await world.ledger.execute(c.OpenAccount("late", "0" * 64), key="late")
    assert "log_went_back" in [log["event"] for log in logs]
    ahead = await world.pool.fetchval("SELECT min(position) FROM cursors")
    assert ahead > n + 1  # what was applied of the lost history stays as it was, and nothing is added

    world.notifier = world.new_notifier()
    plan = await world.recover()
    assert set(plan.projections) == PROJECTIONS.keys() and plan.notifier and plan.open_jobs
    assert (await explained(story)).kept.position == n
    while await world.notifier.run_once():
        pass
    again = await world.pool.fetch("SELECT job, kind FROM deliveries WHERE state = 'pending'")
    assert not {tuple(row) for row in again} & {tuple(row) for row in sent}
    lost = await world.pool.fetch(
        "SELECT abandoned FROM status_messages WHERE subject = 'order' AND name LIKE 'after-%'"
    )
    assert lost and all(row["abandoned"] for row in lost)
    assert not await world.pool.fetchval("SELECT count(*) FROM order_jobs WHERE job LIKE 'after-%'")
    await in_line(story)


@pytest.mark.chaos
async def test_a_job_ended_again_after_the_restore_is_told_once(story: Story, owner: Any) -> None:
    """Its message was sent in the lost history; the same message is not sent again, another one is."""
    world = story.world
    order = ("OrderVideos", "twice", ("twice-1", "twice-2"))
    await world.ledger.execute(c.OpenAccount("t", "0" * 64), key="open:t")
    await world.ledger.execute(c.AcceptTerms("t", "1", 10), key="terms:t")
    await world.ledger.execute(
        c.OrderVideos("t", order[1], order[2], 1, "m", "ugc", "p", "b", "ru", 900), key="order:twice"
    )
    await world.caught_up()
    n = (await world.ledger.read.head()).position
    await fail(world, "twice-1", "one")
    await world.caught_up()
    await put_log_back(owner, n)
    world.notifier = world.new_notifier()
    await world.recover()
    await fail(world, "twice-2", "filler")  # takes the position that the lost failure had
    await fail(world, "twice-1", "two")
    while await world.notifier.run_once():
        pass
    rows = await world.pool.fetch(
        "SELECT job, state FROM deliveries WHERE account = 't' AND state <> 'skipped' ORDER BY job"
    )
    assert [tuple(row) for row in rows] == [("twice-1", "sent"), ("twice-2", "pending")]
    lines = await world.pool.fetch("SELECT job, state FROM order_jobs WHERE account = 't' ORDER BY job")
    assert [row["state"] for row in lines] == ["failed", "failed"]


async def fail(world: World, job: str, key: str) -> None:
    from events.job import Failure

    failure = Failure("transient", "500")
    await world.ledger.execute(c.FailJob(job, "t", "operator", failure), key=f"{job}:{key}")
