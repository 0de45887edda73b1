"""All projections by name."""

from typing import Final

from projections.balances import BALANCES
from projections.errors import NoSuchProjection
from projections.job_status import JOB_STATUS
from projections.payments import PAYMENTS
from projections.projection import AnyProjection

PROJECTIONS: Final[dict[str, AnyProjection]] = {p.name: p for p in (BALANCES, JOB_STATUS, PAYMENTS)}


def projection(name: str) -> AnyProjection:
    """The projection of this name. Raises NoSuchProjection."""
    found = PROJECTIONS.get(name)
    if found is None:
        raise NoSuchProjection(f"there is no projection {name!r}; there are {', '.join(PROJECTIONS)}")
    return found
