"""Scenario 11: a worker's wall clock is wrong by an hour; and everybody's is. Time is the database's.

Deadlines do not come early, retries do not wait an hour, leases hold, and every event has the right time.
"""

import json
from pathlib import Path

import pytest

from tests.support.arena.arena import SERVICES, Arena
from tests.support.arena.sellers import Fault

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

HOUR_S = 3600
SHORT_S = 20
NEVER = Fault("never_finishes")
STUMBLES = Fault("server_error", times=1)


@pytest.mark.parametrize("off_s", [HOUR_S, -HOUR_S], ids=["ahead", "behind"])
async def test_of_one_worker(arena: Arena, off_s: int) -> None:
    async with arena.opened(1):
        await arena.workers(1, ODD_CLOCK_S=off_s)
        await every_kind(arena)
        wrong = f":{arena.running['worker-2'].pid}:"
        started = [e.data for e in (await arena.audit()).events if e.type == "JobStarted"]
        assert any(wrong in data for data in started), "the one with the wrong clock had nothing to do"
        assert clock_is_wrong(arena.running["worker-2"].log_path, off_s)


async def test_of_everybody(arena: Arena) -> None:
    """But the outside's; and the notifier's, whose Telegram library minds how a clock is made wrong here."""
    off_s = arena.dice.choice((HOUR_S, -HOUR_S))
    wrong = [service for service in SERVICES if service != "notifier"]
    async with arena.opened(0, without=wrong):
        for service in wrong:
            arena.begin(service, ODD_CLOCK_S=off_s)
        await arena.ready(*wrong)
        await arena.workers(2, ODD_CLOCK_S=off_s)
        await every_kind(arena)
        await arena.audit()


async def every_kind(arena: Arena) -> None:
    """Jobs that end well at once, after a retry, and not before their deadline."""
    good = [(await arena.order()).jobs[0] for _ in range(6)]
    again = [(await arena.order(faults=[STUMBLES])).jobs[0] for _ in range(3)]
    never = [(await arena.order(faults=[NEVER], deadline_s=SHORT_S)).jobs[0] for _ in range(3)]
    await arena.succeeded(good)
    await arena.succeeded(again, submissions=2)
    await arena.all_ended(never)
    for job in never:
        state, ended = await arena.job(job), (await arena.log_watch.story(job))[-1]
        assert state.failure is not None and state.failure.error_class == "timeout"
        # A worker knows the database's time to within a round trip, which takes long on a busy machine.
        assert state.queued is not None and ended.recorded_at_us > state.queued.deadline_at_us - 1_000_000
    for job in [*good, *again, *never]:
        story = await arena.log_watch.story(job)
        assert story[-1].recorded_at_us - story[0].recorded_at_us < HOUR_S / 2 * 1e6


def clock_is_wrong(log: Path, off_s: int) -> bool:
    """As its own log says, beside the time the file was written."""
    import datetime

    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])["timestamp"]
    told_s = datetime.datetime.fromisoformat(last).timestamp()
    return abs(told_s - log.stat().st_mtime - off_s) < 60
