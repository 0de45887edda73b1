"""All projections by name."""

from typing import Final

from projections.balances import BALANCES
from projections.daily import DAILY
from projections.error_stats import ERROR_STATS
from projections.errors import NoSuchProjection
from projections.job_status import JOB_STATUS
from projections.job_times import JOB_TIMES
from projections.lots import LOTS
from projections.payments import PAYMENTS
from projections.projection import AnyProjection

PROJECTIONS: Final[dict[str, AnyProjection]] = {
    p.name: p for p in (BALANCES, JOB_STATUS, PAYMENTS, LOTS, JOB_TIMES, ERROR_STATS, DAILY)
}


def projection(name: str) -> AnyProjection:
    """The projection of this name. Raises NoSuchProjection."""
    found = PROJECTIONS.get(name)
    if found is None:
        raise NoSuchProjection(f"there is no projection {name!r}; there are {', '.join(PROJECTIONS)}")
    return found
