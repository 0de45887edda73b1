"""kill -9 of one process during a cycle: it ends as if nothing had happened.

One nasty moment each; `make chaos` goes through all moments of all processes.
"""

import pytest

from tests.support.kills import Victim, play_with_a_kill
from tests.support.playing import Play

MOMENTS: dict[Victim, str] = {
    "bot": "order",
    "worker": "SubmissionAccepted",
    "wipe": "JobQueued",
}


@pytest.mark.parametrize("victim", MOMENTS)
async def test_a_cycle_survives_the_end_of(play: Play, victim: Victim) -> None:
    await play_with_a_kill(play, victim, MOMENTS[victim])


async def test_everything_agrees_after_all_those_kills(play: Play) -> None:
    await play.everything_holds()
