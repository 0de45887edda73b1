"""What the tests that kill things share: a system as `neurocards up` starts it, and the arena."""

from tests.support.arena.fixtures import arena, arena_of_its_own, dice, note
from tests.support.playing_fixtures import collector, play, pytest_runtest_makereport, stack

__all__ = [
    "arena",
    "arena_of_its_own",
    "collector",
    "dice",
    "note",
    "play",
    "pytest_runtest_makereport",
    "stack",
]
