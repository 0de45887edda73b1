"""Carries out operations: frozen plans that people asked of the dashboard.

One is taken with a number that grows, for LEASE_S; what is written under an older number has no effect. A
target may be gone through twice, so its step is idempotent: killed between the step and its mark, it is done
again (docs/decisions/operations.md).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from events.errors import NeurocardsError
from ledger.commands import Command
from ledger.errors import LedgerBusyError, LedgerUnavailableError
from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError
from services.generation.circuit_breaker.store import CircuitBook
from services.generation.error_classes import POLICIES
from services.operations.jobs import Terms, drop, end_job, known_job, requeue
from services.operations.models import require_known
from services.platform.settings import Settings

query = load_queries("services.operations")
logger = structlog.get_logger()

LEASE_S: Final = 60.0
KEEP_EVERY_S: Final = 10.0


class Operation(msgspec.Struct, frozen=True):
    """`done` targets of it were gone through; `aborted`: somebody wants it to end."""

    operation: str
    what: str
    targets: list[str]
    argument: str
    actor: str
    reason: str
    done: int
    claims: int
    aborted: bool


Tell = Callable[[str], None]
"""Says how far a step that lasts has come."""
Step = Callable[[Operation, str, Tell], Awaitable[None]]
"""Does one target, idempotently; NeurocardsError refuses it, and the operation goes on."""
INTERRUPTED: Final = frozenset(("rebuild",))
"""What an abort ends in the middle of a target: it leaves nothing behind."""


class OperationRunner:
    def __init__(self, pool: Pool, steps: Mapping[str, Step], stop: asyncio.Event) -> None:
        self._pool = pool
        self._steps = steps
        self._stop = stop

    async def run_once(self) -> int:
        """Carry one out; 0: there is none. Raises what asyncpg raises."""
        row = await self._pool.fetchrow(query("operation_take"), list(self._steps), LEASE_S)
        if row is None:
            return 0
        taken = msgspec.convert(dict(row), Operation)
        aborted: bool | None = taken.aborted
        for target in taken.targets[taken.done :]:
            if aborted:
                break
            if self._stop.is_set():
                await self._pool.fetchval(query("operation_keep"), taken.operation, taken.claims, 0.0, None)
                return 1
            aborted = await self._go_through(taken, target)
            if aborted is None:
                return 1
        await self._pool.execute(query("operation_end"), taken.operation, taken.claims)
        logger.info("operation_ended", operation=taken.operation, what=taken.what, aborted=aborted)
        return 1

    async def _go_through(self, taken: Operation, target: str) -> bool | None:
        """Whether it shall end; None: it is another process's by now."""
        why = None
        try:
            if not await self._kept(taken, target):
                return True
        except (LedgerBusyError, LedgerUnavailableError):
            raise  # asked again under the same key, when the lease is over
        except NeurocardsError as error:
            why = str(error)
        found = await self._pool.fetchval(
            query("operation_move"), taken.operation, taken.claims, LEASE_S, target, why
        )
        return None if found is None else bool(found)

    async def _kept(self, taken: Operation, target: str) -> bool:
        """Do the step while the lease is renewed; False: it was interrupted."""
        told: list[str] = []
        step = asyncio.ensure_future(self._steps[taken.what](taken, target, told.append))
        try:
            while not step.done():
                await asyncio.wait([step], timeout=KEEP_EVERY_S)
                if step.done() and not told:
                    break
                keep = (taken.operation, taken.claims, LEASE_S, told[-1] if told else None)
                aborted = await self._pool.fetchval(query("operation_keep"), *keep)
                if aborted is not False and taken.what in INTERRUPTED and step.cancel():
                    await asyncio.wait([step])
                    return False
            await step
        finally:
            step.cancel()
        return True


async def newest(pool: Pool, limit: int) -> list[dict[str, Any]]:
    """The newest operations. `refused` are targets with why."""
    rows = [dict(row) for row in await pool.fetch(query("operations_newest"), limit)]
    for row in rows:
        row["refused"] = msgspec.json.decode(row["refused"])
    return rows


def job_steps(settings: Settings, ledger: Ledger, pool: Pool) -> dict[str, Step]:
    """Steps of what concerns jobs and models. They plan nothing: a key that stands has to answer."""

    async def command(taken: Operation, job: str) -> tuple[Command, str]:
        if taken.what == "drop":
            return drop(job, taken.actor, taken.reason)
        if taken.what == "requeue":
            terms = Terms(taken.actor, taken.reason, model=taken.argument or None)
            plan = await requeue(pool, settings, job, terms)
            return plan.command, plan.key
        error_class = taken.argument if taken.what == "fail" else "cancelled"
        if error_class not in POLICIES:
            raise NothingOfThatNameError(f"there is no class of errors {error_class!r}")
        account, life_s = (await known_job(pool, job)).account, settings.refund_life_seconds
        return end_job(job, account, error_class, taken.actor, taken.reason, refund_life_s=life_s)

    async def change_job(taken: Operation, job: str, _: Tell) -> None:
        asked, key = await command(taken, job)
        await ledger.execute(asked, key=key)

    async def change_model(taken: Operation, model: str, _: Tell) -> None:
        book = CircuitBook(pool)
        require_known(model, {})
        await (book.pause if taken.what == "pause" else book.resume)(model, taken.actor, taken.reason)

    jobs, models = ("requeue", "drop", "cancel", "fail"), ("pause", "resume")
    return dict.fromkeys(jobs, change_job) | dict.fromkeys(models, change_model)
