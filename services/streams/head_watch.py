"""Where the log ends, as last seen: what a consumer's lag is measured against."""

from ledger.log.ledger import LogReader

LOOK_S = 5.0


class HeadWatch:
    """Give `run_once` to `repeat` every LOOK_S: one index read. `position` is None until the first look."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self.position: int | None = None

    async def run_once(self) -> int:
        """Look. Raises what asyncpg raises."""
        self.position = (await self._reader.head()).position
        return 0

    def lag(self, position: int) -> int | None:
        """How many positions behind the head as last seen; None while that is unknown."""
        return None if self.position is None else max(self.position - position, 0)
