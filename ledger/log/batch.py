"""Decide a batch on copies of the states, without I/O. Failing commands leave no trace."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from events.codec import Event, encode
from events.envelope import Cursor, Recorded
from events.job import JobFailed, JobQueued, JobSucceeded
from events.stream_names import job_of
from ledger.commands import Command
from ledger.decider import State, decide, evolve
from ledger.errors import AlreadyExistsError, InvalidCommandError, KeyReusedError, LedgerError
from ledger.log.hash_chain import event_hash

# What a caller gets for an accepted command.


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
    command: Command
    key: str
    body_hash: bytes
    reads: tuple[str, ...]
    future: "asyncio.Future[Receipt]"


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


class Decided(msgspec.Struct):
    """Outcome of a batch: rows, answers in order, states of written streams."""

    now_us: int
    cursor: Cursor
    rows: list[Recorded]
    answers: list[Answer]
    states: dict[str, tuple[int, State]]
    opened: dict[str, OpenJob]
    ended: list[str]
    used: dict[str, UsedKey]


class BatchDecider:
    """Decides one batch after `head`; `known`: state of every stream read."""

    def __init__(
        self, head: Cursor, now_us: int, known: Mapping[str, tuple[int, State]], used: dict[str, UsedKey]
    ) -> None:
        self._now_us = now_us
        self._known = known
        self._used = used
        self._created: set[str] = set()
        self.result = Decided(now_us, head, [], [], {}, {}, [], used)

    def decide_all(self, batch: Sequence[Pending], rows_max: int | None = None) -> Decided:
        """Answers in order; those beyond `rows_max` rows get none."""
        for pending in batch:
            if rows_max is not None and len(self.result.rows) >= rows_max:
                break
            try:
                answer: Answer = self._decide_one(pending)
            except LedgerError as error:
                answer = error
            except Exception as error:  # a bug, or StopIteration, which no future takes: that command's alone
                answer = LedgerError(f"{type(pending.command).__name__} cannot be decided: {error!r}")
                answer.__cause__ = error
            self.result.answers.append(answer)
        return self.result

    def _decide_one(self, pending: Pending) -> Answer:
        if (answer := answer_of(pending, self._used)) is not None:
            return answer
        current = {stream: self._current(stream) for stream in pending.reads}
        view = {stream: state for stream, (_, state) in current.items()}
        made = decide(view, pending.command, self._now_us)
        if not made:
            return NOTHING_TO_DO
        encoded = [(stream, event, encode(event)) for stream, event in made]
        placed: list[tuple[str, int, Event, str]] = []
        for stream, event, data in encoded:
            require_name(stream)
            version, state = current.get(stream) or (0, None)
            if state is None and version == 0 and stream in self._created:
                raise AlreadyExistsError(f"stream {stream} exists already")
            current[stream] = (version + 1, evolve(state, event) if state is not None else None)  # type: ignore[assignment]
            placed.append((stream, version + 1, event, data))
        return self._append(pending, placed, current)

    def _current(self, stream: str) -> tuple[int, State]:
        return self.result.states.get(stream) or self._known[stream]

    def _append(
        self,
        pending: Pending,
        placed: list[tuple[str, int, Event, str]],
        current: Mapping[str, tuple[int, State | None]],
    ) -> Receipt:
        result, now_us = self.result, self._now_us
        rows: list[Recorded] = []
        receipt = Receipt(result.cursor.position + 1, len(placed), now_us)
        position, previous = result.cursor.position, result.cursor.hash
        key: str | None = pending.key
        body_hash: bytes | None = pending.body_hash
        count: int | None = len(placed)
        for stream, version, event, data in placed:
            position += 1
            name = type(event).__name__
            previous = event_hash(
                previous, position, stream, version, name, data, key, body_hash, count, now_us
            )
            rows.append(
                Recorded(position, stream, version, name, data, key, body_hash, count, now_us, previous)
            )
            key = body_hash = count = None
        result.rows += rows  # all that can raise has been done
        for row, (stream, _, event, _) in zip(rows, placed, strict=True):
            self._track_open_job(stream, event, row.position)
        for stream in {stream for stream, *_ in placed}:  # not those that were only read
            version, state = current[stream]
            if state is None:
                self._created.add(stream)
            else:
                result.states[stream] = (version, state)
        result.cursor = Cursor(position, previous)
        self._used[pending.key] = UsedKey(pending.body_hash, receipt)
        return receipt

    def _track_open_job(self, stream: str, event: Event, position: int) -> None:
        job = job_of(stream)
        if job is None:
            return
        if isinstance(event, JobQueued):
            self.result.opened[job] = OpenJob(job, event.account, position, event.deadline_at_us)
        elif isinstance(event, JobSucceeded | JobFailed) and self.result.opened.pop(job, None) is None:
            self.result.ended.append(job)
