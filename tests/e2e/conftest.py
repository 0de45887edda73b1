"""What the end-to-end tests share."""

from tests.support.playing_fixtures import collector, play, pytest_runtest_makereport, stack

__all__ = ["collector", "play", "pytest_runtest_makereport", "stack"]
