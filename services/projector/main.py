"""`neurocards serve projector`: keeps the read models up to date."""

import contextlib
from functools import partial

from ledger.log.reader import LogReader
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from services.platform.database import create_pool
from services.platform.periodic import repeat
from services.platform.process import Runtime
from services.platform.redis import blocking_client
from services.platform.settings import Settings
from services.projector.projector import Follower
from services.projector.shared_feed import SharedFeed
from services.streams.feed import BLOCK_S_MAX, LOOK_S, Feed, HeadWatch

AT_ONCE = {"balances", "job_status", "payments"}
"""What a seller looks at. Statistics may be a moment late: a batch costs more than the events in it."""
PACE_S = 0.25


async def serve(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await create_pool(settings, "projector"))
        runtime = await stack.enter_async_context(Runtime(settings, "projector"))
        runtime.health.check("postgres", lambda: pool.fetchval("SELECT 1"))
        head = HeadWatch(LogReader(pool))
        runtime.spawn(repeat(head.run_once, runtime.stop, "head", idle_s=LOOK_S), "head")
        common = SharedFeed()
        for name, projection in PROJECTIONS.items():
            feed = Feed(LogReader(pool), blocking_client(settings, BLOCK_S_MAX))
            stack.push_async_callback(feed.close)
            pace_s = 0 if name in AT_ONCE else PACE_S
            follower = Follower(Runner(pool, projection), partial(common.batch, feed.batch), pace_s=pace_s)
            runtime.health.tell({name: partial(follower.status, head)})
            runtime.spawn(follower.run(runtime.stop), name)
        runtime.ready()
        await runtime.wait()
