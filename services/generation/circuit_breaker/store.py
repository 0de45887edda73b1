"""Models' circuit breakers in Postgres, and a process's view of them.

A circuit is changed under its row's lock, and every change is noted for good.

What can meet, and what comes of it (tests/integration/services/generation/test_circuit_breaker.py forces
each):

- Two workers see the model paused at once. The second waits for the row, finds the circuit open and is not
  its probe: nothing changes, the rest is not made longer, one change is noted.
- An operator resumes while a provider's pause is being recorded. Pause first: the resume ends it. Resume
  first: the submission was announced before the resume, so its pause is no news.
- An operator pauses while a probe is in flight. Whatever the probe brings changes nothing.
- Two workers ask for the probe at once: one UPDATE, one of them gets a row.
- The probe's worker dies. The job's next run asks for the same job and has the probe still; is the job gone
  too, another one is let through when `probe_until_us` has passed.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import asyncpg
import msgspec
import structlog

from events.stream_names import job_stream
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.generation.catalogue import Model
from services.generation.circuit_breaker import rules
from services.generation.circuit_breaker.rules import Circuit, Kind, Report, Rhythm
from services.platform.settings import Settings

logger = structlog.get_logger()

query = load_queries("services.generation.circuit_breaker")


READ_EVERY_S: Final = 2.0


class Change(msgspec.Struct, frozen=True):
    number: int
    model: str
    state: str
    set_by: str
    actor: str
    reason: str
    until_us: int | None
    changed_us: int


def rhythm(settings: Settings) -> Rhythm:
    return Rhythm(settings.model_failures_max, settings.model_rest_s)


class CircuitBook:
    """Reads and writes `model_circuits`. Raises what asyncpg raises."""

    def __init__(self, pool: Pool, rhythm: Rhythm | None = None) -> None:
        self._pool = pool
        self.rhythm = rhythm or Rhythm()

    async def read(self) -> tuple[int, dict[str, Circuit]]:
        """The database's time, and circuits of models that ever had trouble."""
        async with self._pool.acquire() as connection:
            now_us = await connection.fetchval(query("now"))
            rows = await connection.fetch(query("circuits"))
        return int(now_us), {row["model"]: _circuit(row) for row in rows}

    async def changes(self, model: str | None = None, limit: int = 100) -> list[Change]:
        """Changes, newest first."""
        return [Change(*row) for row in await self._pool.fetch(query("changes"), model, limit)]

    async def report(
        self, model: str, kind: Kind, job: str, submission: int, reason: str = "", account: str = ""
    ) -> Circuit:

        def decide(circuit: Circuit, now_us: int, announced_us: int) -> Circuit:
            report = Report(kind, job, announced_us, reason, account)
            return rules.after(circuit, report, self.rhythm, now_us)

        return await self._change(model, decide, job_stream(job), submission)

    async def pause(self, model: str, actor: str, reason: str) -> Circuit:
        return await self._change(model, lambda c, now_us, _: rules.paused_by(c, actor, reason, now_us))

    async def resume(self, model: str, actor: str, reason: str) -> Circuit:
        return await self._change(model, lambda c, now_us, _: rules.resumed_by(c, actor, reason, now_us))

    async def answer(self, model: str, well: bool | None) -> Circuit:
        """Record the provider's answer after the model's rest; None: it said nothing."""
        return await self._change(model, lambda c, now_us, _: rules.answered(c, well, self.rhythm, now_us))

    async def claim_probe(self, model: str, job: str) -> Circuit | None:
        """Claim the probe; None when another job has it."""
        row = await self._pool.fetchrow(query("claim_probe"), model, job, self.rhythm.probe_us)
        return None if row is None else _circuit(row)

    async def _change(
        self,
        model: str,
        decide: Callable[[Circuit, int, int], Circuit],
        stream: str = "",
        submission: int = 0,
    ) -> Circuit:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(query("make"), model)
            row = await connection.fetchrow(query("lock"), model)
            facts = await connection.fetchrow(query("facts"), stream, submission)
            assert row is not None and facts is not None
            before = _circuit(row)
            after = decide(before, *facts)
            if after != before:
                await connection.execute(query("put"), *msgspec.structs.astuple(after))
            if after.since_us != before.since_us:
                change = (
                    after.state,
                    after.set_by,
                    after.actor,
                    after.reason,
                    after.until_us,
                    after.since_us,
                )
                await connection.execute(query("note_change"), model, *change)
        return after


def _circuit(row: asyncpg.Record) -> Circuit:
    return msgspec.convert(dict(row), Circuit)


class Circuits:
    """A process's view of the circuits. Without a book every model is available. While Postgres is away the
    last that was read counts. Whatever writes raises what asyncpg raises."""

    def __init__(self, book: CircuitBook | None = None) -> None:
        self._book = book
        self._known: dict[str, Circuit] = {}
        self._offset_us = 0
        self._made: dict[str, tuple[str, int]] = {}
        self._writes = 0
        self._claiming = asyncio.Lock()

    def of(self, model: str) -> Circuit:
        return self._known.get(model) or Circuit(model)

    def now_us(self) -> int:
        return time.monotonic_ns() // 1000 + self._offset_us

    def first_well(self, models: Sequence[Model]) -> Model:
        """The first that is available or to be tried, else the first."""
        now_us, circuits = self.now_us(), ((model, self.of(model.slug)) for model in models)
        due = (model for model, circuit in circuits if circuit.available or circuit.half_open(now_us))
        return next(due, models[0])  # one whose rest is over needs jobs to be tried with

    def any_well(self, models: Iterable[Model]) -> bool:
        """Whether one is available. Half-open is not: nobody is charged to find out whether it works."""
        return any(self.of(model.slug).available for model in models)

    def rest_s(self, models: Iterable[Model]) -> float | None:
        """Seconds until the first of resting models is tried again; None: nobody knows."""
        ends_us = [end for model in models if (end := self.of(model.slug).until_us) is not None]
        return max(0.0, (min(ends_us) - self.now_us()) / 1e6) if ends_us else None

    async def refresh(self) -> int:
        """Read others' changes; 0, as `repeat` wants it. Raises what asyncpg raises."""
        if self._book is None:
            return 0
        made, self._made = self._made, {}
        while True:
            writes = self._writes
            now_us, known = await self._book.read()
            if writes == self._writes:  # else what was read may be older than what was just written
                break
        self._offset_us = now_us - time.monotonic_ns() // 1000
        for circuit in known.values():
            self._tell(circuit)
        self._known = known
        for model, (job, submission) in made.items():
            if self.of(model).available and self.of(model).failures:
                await self._report(model, "made", job, submission)
        return 0

    # What became of submissions

    async def trouble(
        self, model: str, job: str, submission: int, reason: str, *, account: str, paused: bool
    ) -> None:
        """A submission ended in the provider's own trouble; `paused`: it said that the model is paused."""
        await self._report(model, "paused" if paused else "trouble", job, submission, reason, account)

    async def answer(self, model: str, well: bool | None) -> None:
        if self._book is not None:
            self._know(await self._book.answer(model, well))

    def neglected(self, model: str) -> bool:
        """Whether the rest is over for a probe's length without a probe."""
        rest_us = self._book.rhythm.probe_us if self._book is not None else 0
        return self.of(model).half_open(self.now_us() - rest_us)

    async def accepted(self, model: str, job: str, submission: int) -> None:
        if self.of(model).state == "paused":
            await self._report(model, "accepted", job, submission)

    async def made(self, model: str, job: str, submission: int) -> None:
        """There is a video. Writes nothing while all is well: another's count ends with the next refresh."""
        circuit = self.of(model)
        if circuit.available and not circuit.failures:
            self._made[model] = (job, submission)
        else:
            await self._report(model, "made", job, submission)

    async def claim_probe(self, model: str, job: str) -> bool:
        async with self._claiming:  # of a thousand jobs that wait here, one asks the database
            if self._book is None or not self.of(model).probe_due(job, self.now_us()):
                return False
            mine = await self._book.claim_probe(model, job)
            if mine is None:
                await self.refresh()
                return False
            self._know(mine)
            logger.info("model_probed", model=model, job=job)
            return True

    async def _report(
        self, model: str, kind: Kind, job: str, submission: int, reason: str = "", account: str = ""
    ) -> None:
        if self._book is not None:
            self._know(await self._book.report(model, kind, job, submission, reason, account))

    def _know(self, circuit: Circuit) -> None:
        self._tell(circuit)
        self._known[circuit.model] = circuit
        self._writes += 1

    def _tell(self, now: Circuit) -> None:
        if self.of(now.model).state != now.state:
            logger.warning("model_state", model=now.model, state=now.state, by=now.set_by, reason=now.reason)
