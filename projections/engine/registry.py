"""All projections by name."""

from typing import Final

from projections.engine.errors import ProjectionNotFoundError
from projections.engine.projection import AnyProjection
from projections.models.balances import BALANCES
from projections.models.job_status import JOB_STATUS
from projections.models.job_times import JOB_TIMES
from projections.models.lots import LOTS
from projections.models.payments import PAYMENTS
from projections.models.statistics import DAILY, ERROR_STATS

PROJECTIONS: Final[dict[str, AnyProjection]] = {
    p.name: p for p in (BALANCES, JOB_STATUS, PAYMENTS, LOTS, JOB_TIMES, ERROR_STATS, DAILY)
}


def projection(name: str) -> AnyProjection:
    """Raises ProjectionNotFoundError."""
    found = PROJECTIONS.get(name)
    if found is None:
        raise ProjectionNotFoundError(f"there is no projection {name!r}; there are {', '.join(PROJECTIONS)}")
    return found
