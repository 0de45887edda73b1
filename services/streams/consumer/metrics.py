"""What every consumer of a group counts."""

from typing import Final

from prometheus_client import Counter

RECLAIMED: Final = Counter(
    "neurocards_consumer_reclaimed_total", "Entries taken over because another let them lie", ["group"]
)
