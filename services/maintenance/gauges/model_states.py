"""Shows which models are available, paused or failing: what every worker goes by."""

from collections.abc import Iterable
from typing import get_args

from services.generation.circuit_breaker.rules import State
from services.generation.circuit_breaker.store import CircuitBook
from services.monitor.metrics import MODEL_STATE


class ModelStates:
    """`run_once` every few seconds. `models` are those on offer; others appear once they had trouble."""

    def __init__(self, book: CircuitBook, models: Iterable[str]) -> None:
        self._book = book
        self._models = frozenset(models)

    async def run_once(self) -> int:
        """Set the gauges; how many models are not available. Raises what asyncpg raises."""
        _, circuits = await self._book.read()
        unavailable = 0
        for model in self._models | circuits.keys():
            state = circuits[model].state if model in circuits else "available"
            unavailable += state != "available"
            for possible in get_args(State):
                MODEL_STATE.labels(model, possible).set(possible == state)
        return unavailable
