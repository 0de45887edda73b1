"""Job deadlines: an overdue job fails and is refunded, in one transaction.

The last guard of "a user always hears back": it reads Postgres alone, no stream, no projection, no worker.
Two monitors are harmless, since the command's key is the same; a worker that is faster wins.
"""

import asyncio
import time
from typing import Final

import msgspec
import structlog

from events.job import Failure
from ledger.commands import FailJob
from ledger.errors import JobFinishedError, LedgerBusyError, LedgerUnavailableError, NotDueError
from ledger.log.ledger import Ledger
from ledger.payments.commands import REFUND_LIFE_S
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.monitor.metrics import FAILED, STUCK
from services.platform import tracing

query = load_queries("services.monitor")

logger = structlog.get_logger()

PAGE_JOBS: Final = 500
STUCK_PAUSE_S: Final = 60.0
"""A job that could not be ended is tried, and complained about, again after so long."""
TIMED_OUT: Final = Failure("timeout", "deadline")


class Swept(msgspec.Struct):
    """One sweep's counts: overdue jobs `found`, `failed` by us, `ended` by others, `stuck`."""

    found: int = 0
    failed: int = 0
    ended: int = 0
    stuck: int = 0


class _Overdue(msgspec.Struct, frozen=True):
    job: str
    account: str
    deadline_at_us: int


class DeadlineSweep:
    def __init__(
        self,
        ledger: Ledger,
        pool: Pool,
        *,
        page_jobs: int = PAGE_JOBS,
        refund_life_s: int = REFUND_LIFE_S,
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._page_jobs = page_jobs
        self._refund_life_s = refund_life_s
        self._stuck_until: dict[str, float] = {}

    async def run_once(self) -> Swept:
        """Fail every overdue job. Raises LedgerUnavailableError or what asyncpg raises."""
        swept = Swept()
        now = time.monotonic()
        self._stuck_until = {job: until for job, until in self._stuck_until.items() if until > now}
        after: tuple[int, str] = (0, "")
        while True:
            now_us = self._ledger.now_us()
            rows = await self._pool.fetch(query("overdue_after"), *after, self._page_jobs, now_us)
            page = [_Overdue(*row) for row in rows]
            swept.found += len(page)
            due = [job for job in page if job.job not in self._stuck_until]
            # All at once: the ledger commits them together. When it is away, the whole sweep is tried again.
            answers = await asyncio.gather(*(self._fail(swept, job) for job in due), return_exceptions=True)
            for error in filter(None, answers):
                raise error
            if len(page) < self._page_jobs:
                STUCK.set(len(self._stuck_until))
                return swept
            after = (page[-1].deadline_at_us, page[-1].job)

    async def _fail(self, swept: Swept, job: _Overdue) -> None:
        command = FailJob(job.job, job.account, "monitor", TIMED_OUT, refund_life_s=self._refund_life_s)
        try:
            with tracing.span("end overdue job", job=job.job, account=job.account) as span:
                receipt = await self._ledger.execute(command, key=f"fail:{job.job}:monitor")
                span.set_attributes(tracing.ours(position=receipt.position))
        except (LedgerUnavailableError, LedgerBusyError):
            raise
        except (JobFinishedError, NotDueError):
            swept.ended += 1
        except Exception:
            swept.stuck += 1
            self._stuck_until[job.job] = time.monotonic() + STUCK_PAUSE_S
            logger.exception("job_not_failed", job=job.job, account=job.account)
        else:
            swept.failed += 1
            FAILED.inc()
            logger.warning("job_timed_out", job=job.job, account=job.account, position=receipt.position)
