"""Names of WAL files, as Postgres gives them: TTTTTTTTXXXXXXXXYYYYYYYY, timeline, then segment."""

import re
from collections.abc import Iterable

_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
_4_GIB = 1 << 32


def lsn_number(text: str) -> int:
    """The byte that `0/3000060` names."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def number_of(name: str, segment_bytes: int) -> int | None:
    """A segment's number, counted through all timelines; None for a name that is no whole segment's."""
    match = _SEGMENT.fullmatch(name)
    return int(match[2], 16) * (_4_GIB // segment_bytes) + int(match[3], 16) if match else None


def segment_of(lsn: str, segment_bytes: int) -> int:
    """The number of the segment that holds this byte."""
    return lsn_number(lsn) // segment_bytes


def missing(names: Iterable[str], first: int, segment_bytes: int) -> list[int]:
    """Numbers between `first` and the newest segment that no timeline has: recovery would end before them."""
    there = {number for name in names if (number := number_of(name, segment_bytes)) is not None}
    newest = max(there, default=first - 1)
    return [number for number in range(first, newest + 1) if number not in there]


def unneeded(names: Iterable[str], first: int, segment_bytes: int) -> list[str]:
    """Names of what comes before the segment `first`. Histories stay: every way back along a timeline needs
    them, and they are small.
    """
    found = []
    for name in names:
        number = number_of(name[:24], segment_bytes)  # `.partial` and `.backup` files go with their segment
        if number is not None and number < first:
            found.append(name)
    return found
