"""Metrics of the bot; dropped updates are counted and logged."""

from typing import Final, Literal

import structlog
from prometheus_client import Counter, Gauge

UPDATES: Final = Counter(
    "neurocards_updates_total",
    "Updates handled, attempts failed, updates parked, and updates left out of a flood",
    ["outcome"],
)
IN_HAND: Final = Gauge(
    "neurocards_updates_in_hand", "Updates this process has taken and not yet settled", ["lane"]
)
DROPPED: Final = Counter(
    "neurocards_updates_dropped_total", "Updates that lead to nothing, by what and why", ["kind", "reason"]
)


logger = structlog.get_logger()

Reason = Literal["not_private", "no_person", "erased", "service", "unhandled", "malformed"]


def drop(kind: str, reason: Reason) -> None:
    """Count and log a dropped update. `kind` is the Bot API's word for it, or `unknown`."""
    DROPPED.labels(kind, reason).inc()
    logger.info("update_dropped", kind=kind, reason=reason)
