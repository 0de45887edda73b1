"""The inbox's metrics."""

from typing import Final

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
