"""A job's story for people: its events in order, with the seconds since the first."""

from __future__ import annotations

from collections.abc import Sequence

from events.envelope import Recorded

_DATA_LENGTH_MAX = 220


def timeline(story: Sequence[Recorded]) -> str:
    """One line per event: position, seconds since the first, type, data."""
    if not story:
        return "    (no events)"
    first_us = story[0].recorded_at_us
    lines = []
    for event in story:
        data = event.data if len(event.data) <= _DATA_LENGTH_MAX else event.data[:_DATA_LENGTH_MAX] + "…"
        after_s = (event.recorded_at_us - first_us) / 1e6
        lines.append(f"    {event.position:>6} +{after_s:7.3f}s {event.type:<20} {data}")
    return "\n".join(lines)
