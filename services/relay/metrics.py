"""Metrics of the relay."""

from prometheus_client import Counter, Gauge

PUBLISHED = Counter("neurocards_relay_published_events", "Events published to the ledger stream")
POSITION = Gauge("neurocards_relay_position", "Position of the last event published")
LAG = Gauge("neurocards_relay_lag_events", "Events in the log that are not published yet")
RECOVERIES = Counter("neurocards_relay_recoveries", "Times the streams were made anew")
HALTED = Gauge("neurocards_relay_halted", "1 while publishing is stopped because stream and log disagree")
TWO_PRIMARIES = Gauge(
    "neurocards_two_primaries", "1 while a process was refused lately as it follows an old primary"
)
TROUBLES = Counter("neurocards_relay_troubles", "Interruptions by a Postgres or Redis that did not answer")
