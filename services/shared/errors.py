"""Errors of starting and running a process; what a person sees when one cannot run."""

from events.errors import NeurocardsError


class SettingsError(NeurocardsError):
    """A setting is missing or wrong; the message has one line per setting and names its variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StartError(NeurocardsError):
    """A process or server could not start; the message says what to do."""


class UnsafeDatabase(StartError):
    """The database is configured in a way that can lose committed credits."""
