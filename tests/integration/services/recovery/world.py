"""A whole system in the test's process that goes on while its database is put back to an earlier position."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from events.envelope import Cursor
from ledger.checkpoints.checkpoint import Checkpoint, Restored
from ledger.checkpoints.signed_note import PrivateKey, new_key
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from projections.checkpoints import verify_statement
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.verify.run import check_ledger, verify_on
from services.notifier.log_consumer import LogConsumer as NotifierFollower
from services.platform.database import create_pool
from services.platform.redis import blocking_client, command_client
from services.platform.redis_keys import LEDGER
from services.platform.settings import Settings
from services.projector.projector import Follower
from services.recovery.apply import Repair
from services.recovery.checkpoint_files import kept_notes
from services.recovery.plan import Plan, make_plan
from services.streams.compare import check_streams
from services.streams.feed import BLOCK_S_MAX, Feed
from services.streams.publisher.scripts import Scripts
from tests.integration.services.relay.conftest import Running
from tests.support.notes import unkept
from tests.support.servers import OPERATOR, SessionPostgres
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

KEY = new_key("neurocards/test")


class World:
    """Appender, relay, projector and notifier, as real objects."""

    def __init__(self, settings: Settings, key: PrivateKey, folder: Path) -> None:
        self.settings = settings
        self.key = key
        self.folder = folder
        self.said: list[str] = []
        self.pool: Pool
        self.ledger: Ledger
        self.notifier: NotifierFollower
        self._stop = asyncio.Event()
        self._closers: list[Any] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> "World":
        settings = self.settings
        self.pool = await create_pool(settings, "test")
        self.redis = command_client(settings)
        self.ledger = Ledger(settings.require_database_url(), self.pool)
        await self.ledger.__aenter__()
        self.relay = Running(settings, self.pool, self.redis, {})
        for projection in PROJECTIONS.values():
            follower = Follower(Runner(self.pool, projection), self._feed().batch, stopped_retry_s=0.1)
            self._tasks.append(asyncio.create_task(follower.run(self._stop)))
        self.notifier = self.new_notifier()
        return self

    def _feed(self) -> Feed:
        feed = Feed(LogReader(self.pool), blocking_client(self.settings, BLOCK_S_MAX), poll_s=0.1)
        self._closers.append(feed.close)
        return feed

    def new_notifier(self) -> NotifierFollower:
        return NotifierFollower(self.pool, self._feed(), wait_s=0.1)

    async def close(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks, self.relay.end())
        await self.ledger.__aexit__()
        for close in self._closers:
            await close()
        await self.redis.aclose()
        await self.pool.close()

    async def play(self, prefix: str, steps: int) -> int:
        """Some traffic of accounts of its own; the position it has come to."""
        await Traffic(self.ledger, prefix=prefix).play(steps)
        return (await self.ledger.read.head()).position

    async def notify(self) -> None:
        """The notifier reads all there is, and everything it owes is sent."""
        while await self.notifier.run_once():
            pass
        await self.pool.execute("UPDATE deliveries SET state = 'sent', settled_at = clock_timestamp() "
                                "WHERE state = 'pending'")  # fmt: skip

    async def at_head(self) -> bool:
        """Whether every projection has come to the head."""
        head = await self.ledger.read.head()
        rows = await self.pool.fetch("SELECT hash FROM cursors WHERE active AND name <> 'notifier'")
        return all(row["hash"] == head.hash for row in rows)

    async def caught_up(self) -> None:
        await eventually(self.at_head, what="the projections have come to the head")
        await self.notify()

    async def plan(self) -> Plan:
        notes = kept_notes(self.folder)
        return await make_plan(
            self.pool, self._scripts(), notes=notes, keys=[self.key.public], reach_back=10_000
        )

    async def recover(self, *, signed: bool = True) -> Plan:
        """What `neurocards recover` does."""
        plan = await self.plan()
        repair = Repair(
            self.pool, self._scripts(), database_url=self.settings.require_database_url(),
            folder=self.folder, keys=[self.key] if signed else [], reach_back=10_000, say=self.said.append,
        )  # fmt: skip
        await repair.run(plan, "anna", "a dump was put back")
        return plan

    def _scripts(self) -> Scripts:
        return Scripts(self.redis, ledger_entries_max=100_000)


class Dump:
    """The whole database as it was; putting it back cuts every connection, as a restore does."""

    def __init__(self, postgres: SessionPostgres, url: str) -> None:
        self._postgres = postgres
        self._name = url.partition("?")[0].rpartition("/")[2]

    async def take(self) -> None:
        """Nobody may be connected."""
        await self._copy(self._name, f"{self._name}_dump")

    async def put_back(self) -> None:
        await self._execute(f"DROP DATABASE {self._name} WITH (FORCE)")
        await self._copy(f"{self._name}_dump", self._name)

    async def _copy(self, name: str, copy: str) -> None:
        await self._execute(f"CREATE DATABASE {copy} TEMPLATE {name} OWNER {OPERATOR} STRATEGY FILE_COPY")

    async def drop(self) -> None:
        await self._execute(f"DROP DATABASE IF EXISTS {self._name}_dump WITH (FORCE)")

    async def _execute(self, sql: str) -> None:
        await asyncio.to_thread(self._postgres.execute, sql)


async def put_log_back(owner: "asyncpg.Connection[asyncpg.Record]", position: int) -> None:
    """Only the log's own tables, by a superuser: whoever has applied more has still applied it."""
    async with owner.transaction():
        await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
        await owner.execute("DELETE FROM events WHERE position > $1", position)
        await owner.execute("ALTER TABLE events ENABLE TRIGGER ALL")


async def stream_length(redis: Redis) -> int:
    return int(await redis.xlen(LEDGER))


def relay_halted() -> bool:
    return REGISTRY.get_sample_value("neurocards_relay_halted") == 1


class Story:
    """A world at n + 50 with a checkpoint of there, kept outside the database; its dump is of n."""

    def __init__(self, world: World, n: int, note: Checkpoint, place: Cursor) -> None:
        self.world = world
        self.n = n
        self.signed = note
        self.place = place


async def everything_published(world: World) -> bool:
    report = await check_streams(world.redis, world.pool)
    return report.behind == 0 and report.ledger_entries > 0 and not report.problems


async def in_line(story: Story) -> None:
    """Everything goes on, and all agree."""
    world = story.world
    await eventually(lambda: not relay_halted(), what="the relay goes on")
    await world.play("again-", 20)
    await world.caught_up()
    await eventually(lambda: everything_published(world), what="everything is published again")
    assert await check_ledger(world.pool) == []
    assert await unkept(world.pool, [KEY.public]) == []
    async with world.pool.acquire() as connection:
        assert (await verify_on(connection, keys=[KEY.public])).problems == []
    assert (await world.plan()).nothing_to_do


async def explained(story: Story) -> Restored:
    """The old checkpoint, which the log contradicts, has its explanation."""
    answer = await verify_statement(story.world.pool, story.signed, [KEY.public])
    assert answer.damage == [] and answer.explained_by is not None
    return answer.explained_by


def projector_stopped(name: str) -> bool:
    return REGISTRY.get_sample_value("neurocards_projection_stopped", {"projection": name}) == 1
