"""The log's time goes back once, by the operator, in one event; a lost attempt from before it is over."""

import asyncio
import json
from typing import TYPE_CHECKING

import asyncpg
import pytest

from events.stream_names import CLOCK_STREAM
from events.system import ClockCorrected
from ledger import commands as c
from ledger.log.clock import wall_us
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import rich
from tests.integration.ledger.tampering import turned_clock
from tests.integration.ledger.test_door import APPENDING, OTHERS, login
from tests.support.hand_made import append

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

__all__ = ["login"]

HOUR_S = 3600
CORRECT = "SELECT * FROM ledger.correct_clock($1, $2)"


async def ahead(owner: "Connection", ledger: Ledger, seconds: float) -> None:
    """One event of a clock that is ahead, which is right again."""
    await owner.execute(turned_clock(seconds))
    await ledger.execute(c.OpenAccount("late", "0" * 64), key="late")
    await owner.execute(turned_clock(0))


async def correct(
    connection: "Connection", off_s: float = 0, reason: str = "the host's clock"
) -> asyncpg.Record:
    found = await connection.fetchrow(CORRECT, wall_us() + int(off_s * 1e6), reason)
    assert found is not None
    return found


async def test_what_is_appended_goes_on_from_the_right_time(owner, login, ledger, database_url, pool):
    await rich(ledger, "a")
    await ahead(owner, ledger, HOUR_S)
    operator = await login("operator")
    before_us = wall_us()
    done = await correct(operator)
    assert (done["outcome"], done["position"]) == ("later", 5)
    (event,) = await ledger.read.stream(CLOCK_STREAM)
    *_, last, corrected = [event async for event in ledger.read.scan()]
    assert corrected == event and before_us <= event.recorded_at_us <= wall_us()
    assert ClockCorrected(**json.loads(event.data)) == ClockCorrected(
        4, last.recorded_at_us, event.recorded_at_us, "the host's clock", "login:neurocards_operator"
    )
    assert (event.writer, event.command_events) == ("neurocards_operator", 1)
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []
    again = await ledger.execute(
        c.GrantCredits("a", 1, "manual", "x"), key="after"
    )  # by the door that was ahead
    assert event.recorded_at_us <= again.recorded_at_us <= wall_us()


async def test_it_is_done_once_and_only_when_two_clocks_say_that_the_head_is_ahead(owner, login, ledger):
    operator = await login("operator")
    assert (await correct(operator))["outcome"] == "ok", "an empty log"
    await rich(ledger, "a")
    assert (await correct(operator))["outcome"] == "ok"
    await ahead(owner, ledger, HOUR_S)
    for off_s in (-61, 61, HOUR_S, 400 * 24 * HOUR_S):
        assert (await correct(operator, off_s))["outcome"] == "doubt"
    for wrong in ((None, "x"), (0, "x"), (wall_us(), ""), (wall_us(), None), (wall_us(), "x" * 501)):
        with pytest.raises(asyncpg.InvalidParameterValueError, match="say what time"):
            await operator.fetchrow(CORRECT, *wrong)
    other = await login("operator")
    outcomes = await asyncio.gather(correct(operator), correct(other))
    assert sorted(found["outcome"] for found in outcomes) == ["later", "ok"]
    assert len(await ledger.read.stream(CLOCK_STREAM)) == 1


async def test_a_correction_that_did_not_go_far_enough_is_corrected(owner, login, ledger):
    await rich(ledger, "a")
    await ahead(owner, ledger, 2 * HOUR_S)
    operator = await login("operator")
    await owner.execute(turned_clock(HOUR_S))
    assert (await correct(operator, HOUR_S))["position"] == 5
    await owner.execute(turned_clock(0))
    assert (await correct(operator))["position"] == 6
    first, second = [json.loads(event.data) for event in await ledger.read.stream(CLOCK_STREAM)]
    assert first["from_position"] == second["from_position"] == 4
    assert second["from_us"] == first["to_us"] > second["to_us"]


async def test_nobody_else_may(owner, login, ledger):
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="may not append ClockCorrected"):
        await append(await login("operator"), [(CLOCK_STREAM, "ClockCorrected", {"to_us": 1})])
    await ahead(owner, ledger, HOUR_S)
    for name in (*APPENDING, *OTHERS):
        if name != "operator":
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await correct(await login(name))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="superuser"):
        await correct(await login("postgres"))
