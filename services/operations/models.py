"""Video models: their states, and what pausing one concerns."""

from typing import TYPE_CHECKING, Any

from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError
from services.generation.catalogue import Catalogue, load_catalogue
from services.generation.circuit_breaker.rules import Circuit
from services.generation.circuit_breaker.store import CircuitBook

if TYPE_CHECKING:
    from ledger.postgres import Pool

query = load_queries("services.operations")


async def model_rows(pool: "Pool") -> list[dict[str, Any]]:
    """Models of the catalogue, and removed ones that still have a state."""
    now_us, known = await CircuitBook(pool).read()
    catalogue = load_catalogue()
    slugs = [model.slug for model in catalogue.models]
    return [_row(slug, known, catalogue, now_us) for slug in [*slugs, *sorted(known.keys() - set(slugs))]]


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


async def plan_model_change(pool: "Pool", model: str, jobs_max: int | None = None) -> tuple[Circuit, int]:
    """The model's state, and its number of unfinished jobs. Raises NothingOfThatNameError.

    At most `jobs_max` unfinished jobs are looked at, those due first.
    """
    _, known = await CircuitBook(pool).read()
    require_known(model, known)
    return known.get(model) or Circuit(model), await pool.fetchval(
        query("open_jobs_of_model"), model, jobs_max
    )


def require_known(model: str, known: dict[str, Circuit]) -> None:
    """Raise NothingOfThatNameError for a model without a state that the catalogue lacks."""
    if model not in known and load_catalogue().model(model) is None:
        raise NothingOfThatNameError(f"there is no model {model!r}; see `neurocards models list`")
