"""`repeat`: goes on through passing trouble, ends on stop, lets real errors out."""

import asyncio

import asyncpg
import pytest

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


@each("error", [IntegrityError("back in time"), ValueError("a bug")])
async def test_what_does_not_pass_ends_it(error: Exception) -> None:
    async def run_once() -> int:
        raise error

    with pytest.raises(type(error)):
        await asyncio.wait_for(repeat(run_once, asyncio.Event(), "test", idle_s=3600), 60)
