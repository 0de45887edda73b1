"""What the end-to-end tests share."""

from tests.support.playing_fixtures import play, pytest_runtest_makereport, stack

__all__ = ["play", "pytest_runtest_makereport", "stack"]
