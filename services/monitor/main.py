"""`neurocards serve monitor`: nobody waits past the deadline, whatever else is dead. Needs Postgres alone."""

import contextlib

from ledger.log import Ledger
from services.adapters.kie.gateway import Kie
from services.monitor.checkpoints import Checkpoints
from services.monitor.deadlines import DeadlineSweep
from services.monitor.expiry import ExpirySweep
from services.monitor.late import LateResults
from services.monitor.summary import OpenJobsSummary
from services.shared.blobs import open_blobs
from services.shared.checkpoint_files import signing_key
from services.shared.database import create_pool
from services.shared.periodic import repeat
from services.shared.provider_limits import ProviderLimits
from services.shared.redis_client import command_client
from services.shared.runtime import Runtime
from services.shared.settings import Settings

SWEEP_S = 1.0
SUMMARY_S = 5.0
EXPIRY_S = 10.0
LATE_S = 30.0


async def serve(settings: Settings) -> None:
    """Sweep until told to stop."""
    async with contextlib.AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await create_pool(settings, "monitor", max_size=3))
        ledger = await stack.enter_async_context(Ledger(settings.require_database_url(), pool))
        runtime = await stack.enter_async_context(Runtime(settings, "monitor"))
        sweep = DeadlineSweep(ledger, pool, refund_life_s=settings.refund_life_seconds)
        expiry, summary = ExpirySweep(ledger, pool), OpenJobsSummary(pool)

        async def sweep_once() -> int:
            return (await sweep.run_once()).failed

        async def summarise_once() -> int:
            await summary.run_once()
            return 0

        runtime.health.check("postgres", lambda: pool.fetchval("SELECT 1"))
        runtime.spawn(repeat(sweep_once, runtime.stop, "deadlines", idle_s=SWEEP_S), "deadlines")
        runtime.spawn(repeat(expiry.run_once, runtime.stop, "expiry", idle_s=EXPIRY_S), "expiry")
        runtime.spawn(repeat(summarise_once, runtime.stop, "summary", idle_s=SUMMARY_S), "summary")
        kie = await stack.enter_async_context(Kie(settings, open_blobs(settings)))
        redis = await stack.enter_async_context(command_client(settings)) if settings.redis_url else None
        late = LateResults(ledger, pool, kie, ProviderLimits(redis), often_s=LATE_S)
        runtime.spawn(repeat(late.run_once, runtime.stop, "late", idle_s=LATE_S), "late")
        key = signing_key(settings)
        if key is not None and settings.checkpoint_every_seconds:
            signing = Checkpoints(settings, pool, key)
            task = repeat(signing.run_once, runtime.stop, "checkpoints", idle_s=signing.idle_s)
            runtime.spawn(task, "checkpoints")
        runtime.ready()
        await runtime.wait()
