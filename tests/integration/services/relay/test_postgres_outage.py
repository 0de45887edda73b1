"""Postgres dies under relay and projector, and comes back."""

import asyncio
import os
import signal

from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.verify.run import check_ledger
from services.local.postgres import EmbeddedPostgres
from services.platform.database import connect, create_pool
from services.platform.redis import blocking_client, command_client
from services.platform.settings import load_settings
from services.projector.projector import Follower
from services.relay.relay import Relay
from services.streams.compare import check_streams
from services.streams.feed import BLOCK_S_MAX, Feed
from services.streams.pg_listen import LogListener
from tests.support.servers import migrated
from tests.support.state_roots import state_root
from tests.support.traffic import Traffic
from tests.support.waiting import eventually


async def test_both_go_on_after_postgres_was_killed(own_postgres: EmbeddedPostgres, redis_url: str):
    settings = load_settings(database_url=await migrated(own_postgres), redis_url=redis_url)
    stop = asyncio.Event()
    listener = LogListener(lambda: connect(settings, "test-listen"))
    feed = Feed(
        LogReader(pool := await create_pool(settings, "test")), blocking_client(settings, BLOCK_S_MAX)
    )
    async with command_client(settings) as redis, Ledger(settings.require_database_url(), pool) as ledger:
        follower = Follower(Runner(pool, PROJECTIONS["balances"]), feed.batch)
        works = (listener.run(stop), Relay(pool, redis, listener, poll_s=0.1).run(stop), follower.run(stop))
        tasks = [asyncio.create_task(work) for work in works]

        async def all_done() -> bool:
            head = await ledger.read.head()
            report = await check_streams(redis, pool)
            at_head = (await state_root(pool, "balances")).cursor == head
            return at_head and report.behind == 0 and report.ledger_entries == head.position

        traffic = Traffic(ledger)
        await traffic.play(20)
        await eventually(all_done)
        assert own_postgres.pid is not None
        os.kill(own_postgres.pid, signal.SIGKILL)
        await eventually(lambda: own_postgres.exit_code is not None)
        own_postgres.start()

        await traffic.play(20)

        await eventually(all_done)
        assert (await check_streams(redis, pool)).problems == []
        assert await check_ledger(pool) == []
        assert not any(task.done() for task in tasks)
        stop.set()
        await asyncio.gather(*tasks)
    await feed.close()
    await pool.close()
