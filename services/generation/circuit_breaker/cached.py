"""The circuits as one process knows them: read every two seconds, asked without waiting."""

import asyncio
import time
from typing import Final

import structlog

from services.generation.circuit_breaker.rules import Circuit, Kind
from services.generation.circuit_breaker.store import CircuitBook

logger = structlog.get_logger()

READ_EVERY_S: Final = 2.0


class Circuits:
    """What of the models' state a process goes by. Without a book every model is available, for ever.

    While Postgres is away the last that was read counts. Whatever writes raises what asyncpg raises.
    """

    def __init__(self, book: CircuitBook | None = None) -> None:
        self._book = book
        self._known: dict[str, Circuit] = {}
        self._offset_us = 0
        self._made: dict[str, tuple[str, int]] = {}
        self._writes = 0
        self._claiming = asyncio.Lock()

    def of(self, model: str) -> Circuit:
        """The model's circuit as last seen."""
        return self._known.get(model) or Circuit(model)

    def now_us(self) -> int:
        """The database's time, as far as known."""
        return time.monotonic_ns() // 1000 + self._offset_us

    async def refresh(self) -> int:
        """See what others have written; 0, as `repeat` wants it. Raises what asyncpg raises."""
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
        """What the provider said of the model when it was asked; None: nothing."""
        if self._book is not None:
            self._know(await self._book.answer(model, well))

    def neglected(self, model: str) -> bool:
        """Whether no job has been the probe, although its rest is over for as long as a probe has."""
        rest_us = self._book.rhythm.probe_us if self._book is not None else 0
        return self.of(model).half_open(self.now_us() - rest_us)

    async def accepted(self, model: str, job: str, submission: int) -> None:
        """The provider has made a task."""
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
        """Ask to be the submission that is let through to a model whose rest is over."""
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
