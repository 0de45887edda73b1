"""`neurocards serve monitor`: deadlines, credit expiry, the append lock; with Postgres alone."""

import contextlib
import time
from functools import partial

from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.monitor.append_lock import LockWatch
from services.monitor.credit_expiry import ExpirySweep
from services.monitor.job_deadlines import DeadlineSweep
from services.monitor.metrics import LOG_AHEAD
from services.platform.database import create_pool
from services.platform.process import Runtime
from services.platform.scheduler import Scheduler
from services.platform.settings import Settings
from services.platform.system_start import record_start

query = load_queries("services.monitor")

SWEEP_S = 1.0
MEASURE_S = 5.0
WATCH_S = 2.0
EXPIRY_S = 10.0


async def serve(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await create_pool(settings, "monitor", max_size=4))
        ledger = await stack.enter_async_context(Ledger(settings.require_database_url(), pool))
        runtime = await stack.enter_async_context(Runtime(settings, "monitor"))
        await record_start(ledger, settings, "monitor")
        runtime.health.check("postgres", lambda: pool.fetchval("SELECT 1"))
        sweep = DeadlineSweep(ledger, pool, refund_life_s=settings.refund_life_seconds)

        async def deadlines() -> int:
            return (await sweep.run_once()).failed

        tasks = Scheduler(runtime)
        tasks.start("deadlines", deadlines, SWEEP_S, at_once=True)
        tasks.start("expiry", ExpirySweep(ledger, pool).run_once, EXPIRY_S, at_once=True)
        tasks.start("log_time", partial(measure_log_time, pool), MEASURE_S)
        tasks.start("append_lock", LockWatch(pool).run_once, WATCH_S)
        runtime.ready()
        await runtime.wait()


async def measure_log_time(pool: Pool) -> int:
    """Measure the log's time ahead of the clocks: it never falls back. While ahead, lots end and deadlines
    pass by a clock that does not move. Our own clock tells while the database's is still wrong."""
    row = await pool.fetchrow(query("log_time"))
    if row is not None:
        LOG_AHEAD.labels("database").set(row["log_s"] - row["database_s"])
        LOG_AHEAD.labels("monitor").set(row["log_s"] - time.time())
    return 0
