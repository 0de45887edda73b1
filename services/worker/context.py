"""A run's dependencies, made once per process."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ledger.payments.commands import REFUND_LIFE_S
from services.adapters.kie.gateway import Kie
from services.adapters.openai.prompt_writer import ScriptWriter
from services.generation.catalogue import Catalogue
from services.generation.circuit_breaker.store import Circuits
from services.generation.provider_limits import ProviderLimits
from services.generation.wait_estimate import RenderTimes
from services.platform.blobs import BlobStore
from services.worker.store import JobStore

Checkpoint = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Timing:
    """Seconds. `poll_s` is the first pause between two looks, the others follow from it."""

    poll_s: float = 5.0
    retry_base_s: float = 4.0
    call_within_s: float = 5.0
    """A run sends no call later than this after it began to record the intent."""
    unknown_task_s: float = 60.0
    """So long the provider may not know a task it has just made."""
    poke_s: float = 1.0
    """Hints do not make us look more often than this."""
    refund_life_s: int = REFUND_LIFE_S
    """New life of returned credits whose own has ended meanwhile."""

    @property
    def look_s(self) -> float:
        return min(5.0, self.poll_s)


async def no_checkpoint(name: str) -> None:
    """Nothing happens between the steps; tests stop or kill the process here."""


@dataclass
class WorkerContext:
    """`worker` names this process in the events, e.g. `host:pid:random`."""

    worker: str
    store: JobStore
    blobs: BlobStore
    provider: Kie
    accounts: Sequence[str]
    limits: ProviderLimits
    writer: ScriptWriter
    catalogue: Catalogue
    timing: Timing
    callback_url: Callable[[str, int], str | None]
    checkpoint: Checkpoint = no_checkpoint
    circuits: Circuits = field(default_factory=Circuits)
    render_times: RenderTimes = field(default_factory=RenderTimes)
    # Photos are held in memory while they travel: not all slots at once.
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))
    prompts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(16))
    downloads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))
