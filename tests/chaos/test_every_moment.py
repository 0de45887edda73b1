"""kill -9 of every process at every step of a cycle, and FLUSHALL: each cycle ends as if nothing was."""

from itertools import product

import pytest

from services.cli.demo.stack import Stack
from tests.support.kills import MOMENTS, VICTIMS, Victim, play_with_a_kill
from tests.support.playing import Play

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.mark.parametrize(("victim", "moment"), list(product((*VICTIMS, "postgres"), MOMENTS)))
async def test_a_cycle_survives(play: Play, victim: Victim, moment: str) -> None:
    await play_with_a_kill(play, victim, moment)
    await play.everything_holds()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cycle_survives_the_end_of_everything_at_once(play: Play, stack: Stack, moment: str) -> None:
    """The supervisor is killed: all others end with it, and its next start goes on from there."""
    await play_with_a_kill(play, "up", moment)
    await play.everything_holds()
