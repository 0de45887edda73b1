"""The notifier's metrics."""

from typing import Final

from prometheus_client import Counter, Gauge

DELIVERIES: Final = Counter(
    "neurocards_deliveries_total", "What became of sends, by message kind and outcome", ["kind", "outcome"]
)
STATUS_EDITS: Final = Counter(
    "neurocards_status_edits_total", "Edits of status messages, by outcome", ["outcome"]
)
FOLLOWED_POSITION: Final = Gauge(
    "neurocards_notifier_position", "Position in the log up to which messages are written down"
)
SENDING: Final = Gauge("neurocards_deliveries_in_flight", "Deliveries being sent by this process")
