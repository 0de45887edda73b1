"""What the day costs at the provider, held against COST_CAP_PER_DAY; docs/decisions/owners-brakes.md.

Per submission what the provider said that it charged; until it says so, the catalogue's price. A job that
waits for its first submission counts with that, too.
"""

from typing import Final

from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.sql import load_queries
from ledger.system.commands import CheckDayCap
from ledger.system.decider import check_cap, day_of
from services.generation.catalogue import Catalogue
from services.maintenance.metrics import COST_OF_DAY
from services.platform.ids import new_id

query = load_queries("services.maintenance")

PAGE: Final = 20_000
_WAITS: Final = 0
"""The number of no submission: of the one that a queued job will have."""


class CostCap:
    """Counts what came into the log since the day began."""

    def __init__(self, cap: int, catalogue: Catalogue, ledger: Ledger, pool: Pool) -> None:
        self._limit_milli = cap * 1000
        self._catalogue = catalogue
        self._ledger = ledger
        self._pool = pool
        self._begin(0, 0)

    def _begin(self, day: int, position: int) -> None:
        self._day, self._position = day, position
        self._milli: dict[tuple[str, int], int] = {}
        self._total = 0
        self._tasks: set[tuple[str, int]] = set()

    async def run_once(self) -> int:
        """1 when the cap was reached or no longer is."""
        day, head = day_of(self._ledger.now_us()), (await self._ledger.read.head()).position
        if day != self._day or head < self._position:
            self._begin(day, await self._pool.fetchval(query("day_start"), day))
        while self._position < head:
            for row in await self._pool.fetch(query("cost_events"), self._position, PAGE):
                self._count(*row)
            self._position = min(self._position + PAGE, head)
        COST_OF_DAY.set(self._total / 1000)
        command = CheckDayCap("cost", day, self._limit_milli, self._total)
        if not check_cap(await self._ledger.read.sales(), command):
            return 0
        return (await self._ledger.execute(command, key=new_id())).events

    def _count(
        self, job: str, kind: str, submission: int, model: str, seconds: int, charged: int | None
    ) -> None:
        one = (job, submission)
        match kind:
            case "JobQueued":
                self._costs((job, _WAITS), self._price(model, seconds))
            case "SubmissionIntended":
                self._costs((job, _WAITS), 0)
                self._costs(one, self._price(model, seconds))
            case "SubmissionAccepted":
                self._tasks.add(one)
            case "JobFailed":
                self._costs((job, _WAITS), 0)
            case _ if one in self._milli:  # it ended; one of another day counts on that
                if charged is not None:
                    self._costs(one, charged)
                elif kind == "SubmissionFailed" and one not in self._tasks:
                    self._costs(one, 0)

    def _costs(self, one: tuple[str, int], milli: int) -> None:
        self._total += milli - self._milli.get(one, 0)
        self._milli[one] = milli

    def _price(self, model: str, seconds: int) -> int:
        return (self._catalogue.model(model) or self._catalogue.default).cost_milli(seconds)
