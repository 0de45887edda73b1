"""kill -9 of every process at some steps of a cycle, and FLUSHALL: each cycle ends as if nothing was.

At which step, the seed says: a dozen runs go through most of them.
"""

import pytest

from services.rehearsal.system import Stack
from tests.support.arena import seed
from tests.support.kills import MOMENTS, VICTIMS, Victim, play_with_a_kill
from tests.support.playing import Play

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

MOMENTS_EACH = 1


def some(victim: Victim) -> list[str]:
    """The moments at which it is killed this time."""
    return seed.dice(f"moments of {victim}").sample(MOMENTS, MOMENTS_EACH)


ALL: tuple[Victim, ...] = (*VICTIMS, "postgres")


@pytest.mark.parametrize(("victim", "moment"), [(v, moment) for v in ALL for moment in some(v)])
async def test_a_cycle_survives(play: Play, victim: Victim, moment: str) -> None:
    await play_with_a_kill(play, victim, moment)
    await play.everything_holds()


@pytest.mark.parametrize("moment", some("up"))
async def test_a_cycle_survives_the_end_of_everything_at_once(play: Play, stack: Stack, moment: str) -> None:
    """The supervisor is killed: all others end with it, and its next start goes on from there."""
    await play_with_a_kill(play, "up", moment)
    await play.everything_holds()
