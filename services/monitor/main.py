"""`neurocards serve monitor`: deadlines, credit expiry, the append lock; with Postgres alone."""

import contextlib
from functools import partial

from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.monitor.append_lock import LockWatch
from services.monitor.credit_expiry import ExpirySweep
from services.monitor.job_deadlines import DeadlineSweep
from services.monitor.metrics import FAR_DEADLINES
from services.platform.process import Runtime
from services.platform.process_ledger import start_ledger
from services.platform.scheduler import Scheduler
from services.platform.settings import Settings

query = load_queries("services.monitor")

SWEEP_S = 1.0
MEASURE_S = 5.0
WATCH_S = 2.0
EXPIRY_S = 10.0
CLOCKS_S = 130.0
"""By so much a job may be queued before the time that is believed now: two clocks that agree may differ."""


async def serve(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime(settings, "monitor"))
        ledger, pool = await stack.enter_async_context(start_ledger(settings, runtime, max_size=4))
        sweep = DeadlineSweep(ledger, pool, refund_life_s=settings.refund_life_seconds)

        async def deadlines() -> int:
            return (await sweep.run_once()).failed

        tasks = Scheduler(runtime)
        tasks.start("deadlines", deadlines, SWEEP_S, at_once=True)
        tasks.start("expiry", ExpirySweep(ledger, pool).run_once, EXPIRY_S, at_once=True)
        longest_s = settings.job_deadline_seconds
        tasks.start("far_deadlines", partial(measure_far_deadlines, ledger, pool, longest_s), MEASURE_S)
        tasks.start("append_lock", LockWatch(pool).run_once, WATCH_S)
        runtime.ready()
        await runtime.wait()


async def measure_far_deadlines(ledger: Ledger, pool: Pool, longest_s: float) -> int:
    """Count unfinished jobs with a deadline farther than the longest: a clock was ahead when they came."""
    farthest_us = ledger.now_us() + round(longest_s + CLOCKS_S) * 1_000_000
    FAR_DEADLINES.set(await pool.fetchval(query("far_deadlines"), farthest_us))
    return 0
