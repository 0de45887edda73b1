"""Deciding a batch: commands one after another on copies of the states. No I/O.

A command that is refused, or whose decision or encoding raises, leaves no trace; the others go on.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from events.codec import Event, encode
from events.envelope import Cursor, Recorded
from events.job import JobFailed, JobQueued, JobSucceeded
from events.streams import job_of
from ledger.chain import event_hash
from ledger.commands import Command
from ledger.decide import State, decide, evolve
from ledger.errors import AlreadyExists, KeyReused
from ledger.receipt import NOTHING_TO_DO, Receipt

Answer = Receipt | Exception


class OpenJob(msgspec.Struct, frozen=True):
    """An unfinished job: `position` is that of its JobQueued."""

    job: str
    account: str
    position: int
    deadline_at_us: int


class Pending(msgspec.Struct, eq=False):
    """A command that waits for its answer."""

    command: Command
    key: str
    body_hash: bytes
    reads: tuple[str, ...]
    future: "asyncio.Future[Receipt]"


class UsedKey(msgspec.Struct, frozen=True):
    """A key that stands in the log already."""

    body_hash: bytes
    receipt: Receipt


class Decided(msgspec.Struct):
    """What a batch comes to: rows to insert, answers in its order, states and used keys after the commit."""

    now_us: int
    cursor: Cursor
    rows: list[Recorded]
    answers: list[Answer]
    states: dict[str, tuple[int, State]]
    opened: dict[str, OpenJob]
    ended: list[str]
    used: dict[str, UsedKey]


class BatchDecider:
    """Decides one batch on top of `head`, at `now_us`; `known` holds the state of every stream it reads."""

    def __init__(
        self, head: Cursor, now_us: int, known: Mapping[str, tuple[int, State]], used: dict[str, UsedKey]
    ) -> None:
        self._now_us = now_us
        self._known = known
        self._used = used
        self._created: set[str] = set()
        self.result = Decided(now_us, head, [], [], {}, {}, [], used)

    def decide_all(self, batch: Sequence[Pending], rows_max: int | None = None) -> Decided:
        """The commands' answers, in order; those that would come after `rows_max` rows get none."""
        for pending in batch:
            if rows_max is not None and len(self.result.rows) >= rows_max:
                break
            try:
                answer: Answer = self._decide_one(pending)
            except Exception as error:  # whatever a decision raises is that command's answer alone
                answer = error
            self.result.answers.append(answer)
        return self.result

    def _decide_one(self, pending: Pending) -> Receipt:
        used = self._used.get(pending.key)
        if used is not None:
            if used.body_hash != pending.body_hash:
                raise KeyReused(pending.key)
            return used.receipt
        current = {stream: self._current(stream) for stream in pending.reads}
        view = {stream: state for stream, (_, state) in current.items()}
        made = decide(view, pending.command, self._now_us)
        if not made:
            return NOTHING_TO_DO
        encoded = [(stream, event, encode(event)) for stream, event in made]
        placed: list[tuple[str, int, Event, str]] = []
        for stream, event, data in encoded:
            version, state = current.get(stream) or (0, None)
            if state is None and version == 0 and stream in self._created:
                raise AlreadyExists(f"stream {stream} exists already")
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
            result.rows.append(
                Recorded(position, stream, version, name, data, key, body_hash, count, now_us, previous)
            )
            key = body_hash = count = None
            self._track_open_job(stream, event, position)
        for stream, (version, state) in current.items():
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
