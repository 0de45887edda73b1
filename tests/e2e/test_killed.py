"""kill -9 of any one process during a cycle: it ends as if nothing had happened."""

import random

import pytest

from tests.support.kills import MOMENTS, VICTIMS, Victim, play_with_a_kill
from tests.support.playing import Play

SEED = 20


@pytest.mark.parametrize("victim", VICTIMS)
async def test_a_cycle_survives_the_end_of(play: Play, victim: Victim) -> None:
    moment = random.Random(f"{SEED}/{victim}").choice(MOMENTS)
    await play_with_a_kill(play, victim, moment)


async def test_everything_agrees_after_all_those_kills(play: Play) -> None:
    await play.everything_holds()
