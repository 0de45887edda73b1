"""Decide a batch on copies of the states, without I/O. Failing commands leave no trace."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec

from events.codec import encode
from ledger.commands import Command
from ledger.decider import State, decide, evolve
from ledger.errors import AlreadyExistsError, InvalidCommandError, KeyReusedError, LedgerError

ROWS_MAX: Final = 512
"""So many rows bound how long one process keeps the lock from the others; a command has at most hundreds."""


class Receipt(msgspec.Struct, frozen=True):
    """The command's `events`, from `position` on, at the database's time.

    The same key and body give an equal receipt, for ever. A command with nothing to do gives `events` = 0 at
    position 0 and uses up no key.
    """

    position: int
    events: int
    recorded_at_us: int


NOTHING_TO_DO = Receipt(0, 0, 0)

Answer = Receipt | Exception

STREAM_CHARS_MAX = 200
"""An index row holds no more than a few thousand bytes."""


class OpenJob(msgspec.Struct, frozen=True):
    """An unfinished job: `position` is that of its JobQueued."""

    job: str
    account: str
    position: int
    deadline_at_us: int


class Pending(msgspec.Struct, eq=False):
    """A command that waits. An attempt of unknown outcome may still pass until `unknown_until_us`."""

    command: Command
    key: str
    body_hash: bytes
    reads: tuple[str, ...]
    future: "asyncio.Future[Receipt]"
    unknown_until_us: int = 0


class UsedKey(msgspec.Struct, frozen=True):
    body_hash: bytes
    receipt: Receipt


def answer_of(pending: Pending, used: Mapping[str, UsedKey]) -> Receipt | KeyReusedError | None:
    found = used.get(pending.key)
    if found is not None and found.body_hash != pending.body_hash:
        return KeyReusedError(pending.key)
    return found.receipt if found else None


def require_name(stream: str) -> None:
    """Raises InvalidCommandError unless this can name a stream."""
    if len(stream) > STREAM_CHARS_MAX or not stream.isprintable():
        raise InvalidCommandError(
            f"{stream[:STREAM_CHARS_MAX]!r} names no stream; an id is made of printable characters, "
            f"{STREAM_CHARS_MAX} at most with what it is an id of"
        )


class NewRow(NamedTuple):
    """Decided event, before it has a place and a hash."""

    stream: str
    version: int
    type: str
    data: str


class Written(NamedTuple):
    """Answer to a command in a batch that is not durable yet: its events, from row `first` on."""

    first: int
    events: int


class Decided(msgspec.Struct):
    """Outcome of a batch: rows, their number per command, answers in order, states of written streams."""

    now_us: int
    rows: list[NewRow] = []
    counts: list[int] = []
    answers: list[Answer | Written] = []
    states: dict[str, tuple[int, State]] = {}

    def answers_at(self, position: int, at_us: int) -> list[Answer]:
        """Answers once the last row stands at `position`, recorded at `at_us`."""
        before = position - len(self.rows)
        return [
            Receipt(before + answer.first + 1, answer.events, at_us)
            if isinstance(answer, Written)
            else answer
            for answer in self.answers
        ]

    def commands_of(self, rows: Iterable[int]) -> set[int]:
        """Numbers of the commands that made these rows."""
        ends = list(accumulate(self.counts))
        return {bisect_right(ends, row) for row in rows}


def decide_batch(batch: Sequence[Pending], known: Mapping[str, tuple[int, State]], now_us: int) -> Decided:
    """Decide one after another; `known`: version and state of every stream that is read.

    What is over ROWS_MAX rows is left out: the answers are then fewer than the commands. The keys of a batch
    differ from each other.
    """
    decided, created = Decided(now_us), set[str]()
    for pending in batch:
        if len(decided.rows) >= ROWS_MAX:
            break
        before = len(decided.rows)
        try:
            answer: Answer | Written = _decide_one(pending, known, decided, created)
        except LedgerError as error:
            answer = error
        except Exception as error:  # a bug, or StopIteration, which no future takes: that command's alone
            answer = LedgerError(f"{type(pending.command).__name__} cannot be decided: {error!r}")
            answer.__cause__ = error
        decided.answers.append(answer)
        decided.counts.append(len(decided.rows) - before)
    return decided


def _decide_one(
    pending: Pending, known: Mapping[str, tuple[int, State]], decided: Decided, created: set[str]
) -> Answer | Written:
    current: dict[str, tuple[int, State | None]] = {}
    view: dict[str, State] = {}
    for stream in pending.reads:
        entry = decided.states.get(stream) or known[stream]
        current[stream] = entry
        view[stream] = entry[1]
    made = decide(view, pending.command, decided.now_us)
    if not made:
        return NOTHING_TO_DO
    rows: list[NewRow] = []
    for stream, event in made:
        at = current.get(stream)
        if at is None:
            require_name(stream)
            if stream in created:
                raise AlreadyExistsError(f"stream {stream} exists already")
            at = 0, None
        version, state = at[0] + 1, at[1]
        current[stream] = version, None if state is None else evolve(state, event)
        rows.append(NewRow(stream, version, type(event).__name__, encode(event)))
    for stream in {row.stream for row in rows}:  # all that can raise has been done; not those only read
        version, state = current[stream]
        if state is None:
            created.add(stream)
        else:
            decided.states[stream] = version, state
    first = len(decided.rows)
    decided.rows += rows
    return Written(first, len(rows))
