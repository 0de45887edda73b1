"""Findings: one objection each, with its position."""

from typing import Literal, get_args

import msgspec

Kind = Literal[
    # The chain: rows that are not what was written.
    "edited",  # a row was changed after it was written
    "renamed",  # a row's stream has another name than when it was written
    "deleted",  # rows are missing between others
    "inserted",  # a row stands where none was written
    "moved",  # rows do not stand where they were written
    "sequence",  # a hash or a position does not follow, and it cannot be told why
    "rewritten",  # the chain holds, but it is not the one that was seen before
    "cut",  # the end of the log is missing
    # The rules: what the rows say cannot have happened.
    "stream",  # versions of one stream are not 1, 2, 3, …
    "command",  # a command's events are not together, or time went back
    "clock",  # an event is later than now, or time was corrected otherwise than it may be
    "unreadable",  # an event this code cannot read
    "overdraft",  # credits were spent that were not there
    "lots",  # credits were not drawn from, or given back to, the lots they should
    "charge",  # a job charged twice, or queued without its charge
    "outcome",  # a job with no outcome, two, or a refund that mirrors no charge
    "gift",  # a promo code or an invitation gave what it should not, or did not give what it should
    "approval",  # a change was approved that nobody had proposed, or is another than was proposed
    "payment",  # credits are not what the money was, or money came or went back otherwise than it could
    "books",  # the double entry does not balance
    # What was made of the log.
    "open_jobs",  # the table of unfinished jobs is not what the log says
    "delivery",  # what a chat was told is not what the log says, or nothing was
    "snapshot",  # a cached state is not what the log says
    "projection",  # a read model is not what the log says at its cursor
    "cursor",  # a consumer remembers a place that is none
    "checkpoint",  # a stored checkpoint is not what was signed, or not signed by the key
    "guard",  # something of the database is not as the migrations make it
    "person",  # an account was given to somebody else than the one it was opened for
    "blob",  # a video or photo is gone, or is another than the log says
    "streams",  # Redis holds something else than the log
    # A file.
    "file",  # its bytes are not those that were written
    "manifest",  # what stands beside it says something else than the file
    "note",  # not signed, or not by the key
    "proof",  # it does not prove what it says
    "log",  # the log is not what a note signs
    "statement",  # the log does not say what it is where a note was signed
    "state",  # states or books are not what was stated
]
KINDS: tuple[Kind, ...] = get_args(Kind)

CHAIN_KINDS: tuple[Kind, ...] = KINDS[: KINDS.index("stream")]
"""Damage to the rows themselves."""
DATABASE_KINDS: tuple[Kind, ...] = KINDS[: KINDS.index("streams")]
"""What verifying a database can find."""

PROBLEMS_MAX = 100
"""A check stops to list more; one broken link often breaks all that follow."""


class Problem(msgspec.Struct, frozen=True):
    """Something wrong. `position` is None when it is not about one event."""

    kind: Kind
    position: int | None
    message: str


class Findings:
    """Collects problems, each once, up to `limit`. `count` is all."""

    def __init__(self, limit: int = PROBLEMS_MAX) -> None:
        self.problems: list[Problem] = []
        self.count = 0
        self._limit = limit

    def add(self, kind: Kind, position: int | None, message: str) -> None:
        self.count += 1
        if len(self.problems) < self._limit:
            problem = Problem(kind, position, message)
            if problem in self.problems:
                self.count -= 1
            else:
                self.problems.append(problem)
