"""Metrics of the inbox, by who fills and who empties it."""

from typing import Final

from prometheus_client import Counter

UPDATES: Final = Counter(
    "neurocards_updates_total",
    "Updates handled, attempts failed, updates parked, and updates left out of a flood",
    ["outcome"],
)
