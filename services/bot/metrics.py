"""Metrics of the bot; updates that nobody is answered for are counted and said in one line."""

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
    """Say that an update leads to nothing. `kind` is the Bot API's word for it, or `unknown`."""
    DROPPED.labels(kind, reason).inc()
    logger.info("update_dropped", kind=kind, reason=reason)
