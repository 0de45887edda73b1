"""What `neurocards models` reads and does."""

from typing import TYPE_CHECKING, Any

import msgspec

from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError
from services.generation.catalogue import Catalogue, load_catalogue
from services.generation.circuit_breaker.rules import Circuit
from services.generation.circuit_breaker.store import CircuitBook
from services.platform.database import create_pool
from services.platform.settings import Settings

if TYPE_CHECKING:
    from ledger.postgres import Pool


query = load_queries("services.cli.commands.models")


class Plan(msgspec.Struct, frozen=True):
    """A change of a model's state by hand. `done_before`: that is how it is."""

    before: Circuit
    state: str
    open_jobs: int

    @property
    def done_before(self) -> bool:
        by_hand = self.state == "available" or self.before.set_by == "operator"
        return self.before.state == self.state and by_hand

    def as_row(self) -> dict[str, Any]:
        """For people and programs. `open_jobs`: unfinished jobs that were ordered from the model."""
        return {
            "model": self.before.model,
            "state_before": self.before.state,
            "state_after": self.state,
            "open_jobs": self.open_jobs,
        }


async def rows(pool: "Pool") -> list[dict[str, Any]]:
    """Every model of the catalogue, and those that are in it no more but have a state."""
    now_us, known = await CircuitBook(pool).read()
    catalogue = load_catalogue()
    slugs = [model.slug for model in catalogue.models]
    return [_row(slug, known, catalogue, now_us) for slug in [*slugs, *sorted(known.keys() - set(slugs))]]


async def changes(pool: "Pool", model: str | None, limit: int) -> list[dict[str, Any]]:
    """Rows of the history, the newest first. Raises NothingOfThatNameError."""
    found = await CircuitBook(pool).changes(model, limit)
    if not found and model is not None:
        _require_known(model, {})
    return [msgspec.structs.asdict(change) for change in found]


async def plan(settings: Settings, model: str, state: str) -> Plan:
    """What changing the state would mean now. Raises NothingOfThatNameError."""
    async with await create_pool(settings, "operator", max_size=1) as pool:
        _, known = await CircuitBook(pool).read()
        _require_known(model, known)
        open_jobs = await pool.fetchval(query("open_jobs_of_model"), model)
        return Plan(known.get(model) or Circuit(model), state, open_jobs)


async def apply(settings: Settings, planned: Plan, actor: str, reason: str) -> Circuit:
    """Do it; doing it twice is doing it once."""
    async with await create_pool(settings, "operator", max_size=1) as pool:
        book = CircuitBook(pool)
        change = book.pause if planned.state == "paused" else book.resume
        return await change(planned.before.model, actor, reason)


def _require_known(model: str, known: dict[str, Circuit]) -> None:
    if model not in known and load_catalogue().model(model) is None:
        raise NothingOfThatNameError(f"there is no model {model!r}; see `neurocards models list`")


def _row(slug: str, known: dict[str, Circuit], catalogue: Catalogue, now_us: int) -> dict[str, Any]:
    circuit, model = known.get(slug) or Circuit(slug), catalogue.model(slug)
    enabled = model is not None and model.enabled
    others = catalogue.candidates(model) if model is not None else ()
    well = (other.slug for other in others if (known.get(other.slug) or Circuit(other.slug)).available)
    alternative = (
        "" if enabled and circuit.available else next((other for other in well if other != slug), "")
    )
    return {
        "model": slug,
        "state": circuit.state if enabled else "not offered",
        "since_us": circuit.since_us or None,
        "set_by": circuit.actor or circuit.set_by if circuit.since_us else "",
        "reason": circuit.reason,
        "until_us": circuit.until_us,
        "probing": bool(circuit.half_open(now_us) and circuit.probe_job),
        "failures_in_a_row": circuit.failures,
        "alternative": alternative,
    }
