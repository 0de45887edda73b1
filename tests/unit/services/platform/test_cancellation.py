"""A cancellation that a library has lost is obeyed all the same."""

import asyncio

import pytest

from services.platform.periodic import obey_cancellation


async def test_a_lost_cancellation_is_raised_again():
    reached: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            reached.append("swallowed, as asyncio.wait_for may")
        obey_cancellation()
        reached.append("went on")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reached == ["swallowed, as asyncio.wait_for may"]


async def test_a_timeout_is_no_cancellation():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(60)
    obey_cancellation()
