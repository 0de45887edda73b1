"""`neurocards serve relay`: publishes the log to the Redis streams."""

import contextlib

from services.platform.database import connect, create_pool
from services.platform.periodic import repeat
from services.platform.primary_mark import refused_lately
from services.platform.process import Runtime
from services.platform.redis import RedisBreaker, command_client
from services.platform.settings import Settings
from services.relay.metrics import TWO_PRIMARIES
from services.relay.relay import Relay
from services.streams.pg_listen import LogListener

LOOK_S = 15.0


async def serve(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await create_pool(settings, "relay", max_size=4))
        redis = await stack.enter_async_context(command_client(settings))
        runtime = await stack.enter_async_context(Runtime(settings, "relay"))
        listener = LogListener(lambda: connect(settings, "relay-listen", session=True))
        relay = Relay(
            pool,
            redis,
            listener,
            ledger_entries_max=settings.stream_entries_max,
            reach_back=settings.stream_recover_events,
        )
        breaker = RedisBreaker("refused")
        runtime.health.check("postgres", lambda: pool.fetchval("SELECT 1"))
        runtime.health.check("redis", redis.ping)
        runtime.health.tell({"relay": relay.status})
        runtime.spawn(listener.run(runtime.stop), "listen")
        runtime.spawn(relay.run(runtime.stop), "relay")

        async def look() -> int:
            refused = await breaker.ask(lambda: refused_lately(redis))
            TWO_PRIMARIES.set(bool(refused))
            return 0

        runtime.spawn(repeat(look, runtime.stop, "refused", idle_s=LOOK_S), "refused")
        runtime.ready()
        await runtime.wait()
