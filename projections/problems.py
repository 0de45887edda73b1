"""What a check finds, and where."""

from typing import Literal

import msgspec

Kind = Literal[
    "sequence",  # a gap, a doubled position, or a hash that does not follow
    "stream",  # versions of one stream are not 1, 2, 3, …
    "command",  # a command's events are not together, or time went back
    "unreadable",  # an event this code cannot read
    "overdraft",  # credits were spent that were not there
    "charge",  # a job charged twice, or queued without its charge
    "outcome",  # a job with no outcome, two, or a refund that mirrors no charge
    "open_jobs",  # the table of unfinished jobs is not what the log says
    "books",  # the double entry does not balance
    "projection",  # a read model is not what the log says at its cursor
    "streams",  # Redis holds something else than the log
]

PROBLEMS_MAX = 100
"""A check stops to list more; one broken link often breaks all that follow."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong. `position` is where in the log, None when it is not about one event."""

    kind: Kind
    position: int | None
    message: str


class Findings:
    """Collects problems, up to PROBLEMS_MAX."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, kind: Kind, position: int | None, message: str) -> None:
        """One more, unless there are enough."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(kind, position, message))
