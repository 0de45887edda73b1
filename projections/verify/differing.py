"""Collects the rows of a read model that are not what the log says, and says so once. Pure."""

from projections.problems import Findings

KEYS_SHOWN = 5


class Differing:
    """Keys of rows that differ: all are counted, some are named."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown: list[str] = []
        self._count = 0

    def add(self, key: str) -> None:
        """One more."""
        self._count += 1
        if len(self._shown) < KEYS_SHOWN:
            self._shown.append(key)

    def tell(self, position: int, findings: Findings) -> None:
        """What was found, if anything, with the read model at this position."""
        if not self._count:
            return
        more = ", …" if self._count > KEYS_SHOWN else ""
        message = (
            f"{self._name} differs from the log at position {position} in {self._count} rows: "
            f"{', '.join(self._shown)}{more}"
        )
        findings.add("projection", position, message)
