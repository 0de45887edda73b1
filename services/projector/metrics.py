"""Metrics of the projector, by projection."""

from prometheus_client import Counter, Gauge

APPLIED = Counter("neurocards_projection_events", "Events given to a projection", ["projection"])
POSITION = Gauge("neurocards_projection_position", "Position a projection has come to", ["projection"])
STOPPED = Gauge("neurocards_projection_stopped", "1 while a projection cannot go on", ["projection"])
