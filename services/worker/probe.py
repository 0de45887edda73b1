"""Whether a model that rests is well again, asked of the provider when no seller's job may find out.

Its own figures of the last minutes cost nothing, and nobody is charged for a video that may not come. Why so:
docs/decisions/model-probe.md.
"""

import asyncio
import random
from typing import Final

import structlog

from services.adapters.kie.errors import KieError
from services.generation.catalogue import Model
from services.platform.ids import new_id
from services.worker.context import WorkerContext

logger = structlog.get_logger()

ASK_EVERY_S: Final = 1.5
"""The provider takes one such question in a second."""


class ModelProbe:
    """`run_once` now and then in every worker; of all that would ask about a model one does."""

    def __init__(self, tools: WorkerContext) -> None:
        self._tools = tools

    async def run_once(self) -> int:
        """Ask about the models that rest; 0, as `repeat` wants it."""
        for model in self._tools.catalogue.models:
            await self._look(model)
        return 0

    async def _look(self, model: Model) -> None:
        circuits = self._tools.circuits
        others = any(circuits.of(other.slug).available for other in self._tools.catalogue.candidates(model))
        if not model.enabled or (others and not circuits.neglected(model.slug)):
            return
        if not await circuits.claim_probe(model.slug, f"asked:{new_id()}"):
            return
        client, well = self._tools.provider.client(random.choice(self._tools.accounts)), None
        try:
            well = await client.is_normal(model.slug) if client is not None else None
        except KieError as error:
            logger.warning("model_status_not_read", model=model.slug, error=str(error))
            if error.failure.error_class == "rate_limited":
                return  # somebody asks when the time of this probe is over
        await circuits.answer(model.slug, well)
        await asyncio.sleep(ASK_EVERY_S)
