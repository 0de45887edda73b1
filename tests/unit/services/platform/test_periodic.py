"""`repeat`: goes on through passing trouble, ends on stop, lets real errors out."""

import asyncio
from functools import partial

import asyncpg
import pytest
from structlog.testing import capture_logs

from ledger.errors import IntegrityError, LedgerUnavailableError
from services.platform.periodic import repeat
from tests.support.each import each


async def test_it_goes_on_while_there_is_work_and_stops_when_told() -> None:
    stop, left = asyncio.Event(), [1, 1, 1, 0]

    async def run_once() -> int:
        done = left.pop(0)
        if not left:
            stop.set()
        return done

    await asyncio.wait_for(repeat(run_once, stop, "test", idle_s=3600), 60)
    assert not left


async def test_a_wake_up_ends_the_pause() -> None:
    stop, wake, runs = asyncio.Event(), asyncio.Event(), []

    async def run_once() -> int:
        runs.append(1)
        if len(runs) == 2:
            stop.set()
        else:
            asyncio.get_running_loop().call_soon(wake.set)
        return 0

    await asyncio.wait_for(repeat(run_once, stop, "test", idle_s=3600, wake=wake), 60)
    assert len(runs) == 2


@each(
    "trouble",
    [LedgerUnavailableError("away"), OSError("refused"), TimeoutError(), asyncpg.PostgresError("down")],
)
async def test_passing_trouble_is_tried_again(trouble: Exception) -> None:
    stop, errors = asyncio.Event(), [trouble, trouble]

    async def run_once() -> int:
        if errors:
            raise errors.pop()
        stop.set()
        return 0

    await asyncio.wait_for(repeat(run_once, stop, "test", idle_s=3600), 60)
    assert not errors


async def test_one_outage_of_many_is_told_twice() -> None:
    """When it begins, and when the last who waited has its answer: who they were, how often they tried."""
    left = dict.fromkeys(("sweep", "probe", "clean"), 3)
    stops = {name: asyncio.Event() for name in left}

    async def run_once(name: str) -> int:
        left[name] -= 1
        if left[name] >= 0:
            raise asyncpg.CannotConnectNowError("the database system is starting up")
        stops[name].set()
        return 0

    with capture_logs() as logs:
        await asyncio.gather(*(repeat(partial(run_once, n), stops[n], n, idle_s=3600) for n in left))
    begun, ended = logs
    assert (begun["event"], begun["log_level"], begun["what"]) == ("trouble_met", "warning", "Postgres")
    assert "starting up" in begun["reason"]
    assert ended.pop("lasted_s") >= 0
    assert ended == {
        "event": "trouble_over",
        "log_level": "info",
        "what": "Postgres",
        "times": 9,
        "who": "clean probe sweep",
    }


@each("error", [IntegrityError("back in time"), ValueError("a bug")])
async def test_what_does_not_pass_ends_it(error: Exception) -> None:
    async def run_once() -> int:
        raise error

    with pytest.raises(type(error)):
        await asyncio.wait_for(repeat(run_once, asyncio.Event(), "test", idle_s=3600), 60)
