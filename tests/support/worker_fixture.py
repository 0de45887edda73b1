"""Orders for workers, workers for orders, and what must be true in the end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
from redis.asyncio import Redis

from events import job as e
from events.codec import decode
from ledger import commands as c
from ledger.log.ledger import Ledger
from services.accounts.personal_data import Brief, PersonalData
from services.generation.catalogue import load_catalogue
from services.platform.blob_stores import open_blobs
from services.platform.blobs import one_chunk
from services.platform.ids import new_id
from services.platform.process_ledger import open_ledger
from services.platform.redis import command_client
from services.platform.redis_keys import JOBS
from services.platform.settings import Settings
from services.streams.entries import GENERATION, job_entry
from services.worker.context import Checkpoint, no_checkpoint
from services.worker.main import make_worker
from services.worker.worker import Worker
from tests.support.jobs import Jobs
from tests.support.outside import Outside, photo
from tests.support.waiting import eventually

PRODUCT = "Кружка керамическая, синяя глазурь, 350 мл"
_PHOTO = "photos/cup.jpg"


class RunningWorker(msgspec.Struct):
    """A worker in this process."""

    worker: Worker
    stop: asyncio.Event
    task: "asyncio.Task[None]"

    async def end(self) -> None:
        """Stop it as SIGTERM would."""
        self.stop.set()
        await self.task

    def shorten(self, **timing: Any) -> None:
        """Change its times."""
        tools = self.worker._pool._context
        tools.timing = replace(tools.timing, **timing)


class WorkerFixture(Jobs):
    """Everything a test of the worker needs, on real servers."""

    def __init__(
        self,
        settings: Settings,
        pool: "asyncpg.Pool[asyncpg.Record]",
        ledger: Ledger,
        redis: Redis,
        sandbox: Outside,
        owner: "asyncpg.Connection[asyncpg.Record]",
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.redis = redis
        self.sandbox = sandbox
        self._people = PersonalData(pool)
        self._pool = pool
        self._owner = owner
        self._stack = AsyncExitStack()
        self._workers: list[RunningWorker] = []
        self._account = ""
        self._published = 0
        self._spoiled = False

    async def close(self) -> None:
        for running in self._workers:
            await running.end()
        await self._stack.aclose()

    def use_redis(self, url: str) -> None:
        """Publish to and work from another Redis."""
        self.settings = self.settings.model_copy(update={"redis_url": url})
        self.redis = command_client(self.settings)
        self._stack.push_async_callback(self.redis.aclose)

    async def cut_postgres(self) -> None:
        """Cut every connection of the workers to Postgres, as a failover would."""
        await self._owner.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND application_name <> 'neurocards-test'"""
        )

    async def worker(self, checkpoint: Checkpoint = no_checkpoint, **settings: Any) -> RunningWorker:
        """Start one more worker."""
        changed = self.settings.model_copy(update=settings)
        opened = await self._stack.enter_async_context(open_ledger(changed, "worker"))
        worker = await make_worker(changed, self._stack, *opened, checkpoint)
        stop = asyncio.Event()
        running = RunningWorker(worker, stop, asyncio.create_task(worker.run(stop)))
        self._workers.append(running)
        return running

    def process_settings(self, **settings: Any) -> dict[str, Any]:
        """What a worker in a process of its own loads its settings from."""
        return self.settings.model_dump(exclude_unset=True) | settings

    async def account(self, credits: int = 1000) -> str:
        """The seller, made at first use."""
        if not self._account:
            person = await self._people.account_of(4711, "ru")
            self._account = person.account
            await self.ledger.execute(c.OpenAccount(self._account, person.person), key="open")
            await self.ledger.execute(c.AcceptTerms(self._account, "1", credits), key="terms")
            await open_blobs(self.settings).put(_PHOTO, one_chunk(photo(600, 800)), size_bytes_max=10_000_000)
        return self._account

    async def order(
        self,
        jobs: int = 1,
        *,
        style: str = "ugc",
        model: str | None = None,
        wishes: str = "",
        product: str = PRODUCT,
        deadline_s: int = 300,
        publish: bool = True,
    ) -> list[str]:
        """Pay for so many videos; the names of the jobs, already in the stream."""
        account = await self.account()
        brief = await self._people.keep_text(account, Brief(product, wishes))
        names = tuple(new_id() for _ in range(jobs))
        order = new_id()
        slug = model or load_catalogue().default.slug
        command = c.OrderVideos(account, order, names, 1, slug, style, _PHOTO, brief, "ru", deadline_s)
        await self.ledger.execute(command, key=f"order:{order}")
        if publish:
            await self.publish()
        return list(names)

    async def order_with_fault(
        self,
        fault: str,
        *,
        call: str = "createTask",
        times: int | None = None,
        args: dict[str, Any] | None = None,
        deadline_s: int = 300,
    ) -> str:
        """One video for which the provider does this wrong; other jobs are not touched by it."""
        word = f"знак-{new_id()}"
        self.sandbox.fault("kie", call, fault, times=times, args=args or {}, match={"prompt": word})
        if not self._spoiled:
            self._spoiled = True
            self.sandbox.fault("openai", "chat", "quota", times=None)  # a template keeps the seller's words
        (job,) = await self.order(product=f"{PRODUCT}, {word}", deadline_s=deadline_s)
        return job

    async def publish(self) -> None:
        """What the relay does, for `jobs` alone."""
        for event in await self.ledger.read.events_after(self._published, 10_000):
            entry = job_entry(event)
            if entry is not None:
                fields: dict[Any, Any] = {"job": entry.job, "type": entry.type}
                await self.redis.xadd(JOBS, fields, id=f"{entry.position}-0")
            self._published = event.position

    async def republish(self) -> None:
        """What the relay does after a wipe: every unfinished job again."""
        for open_job in await self.ledger.read.open_jobs():
            fields: dict[Any, Any] = {"job": open_job.job, "type": "JobQueued"}
            await self.redis.xadd(JOBS, fields, id=f"{open_job.position}-0")
        self._published = (await self.ledger.read.head()).position

    async def prompt(self, job: str) -> dict[str, Any]:
        text = await self._people.text(f"prompt-{job}")
        assert text is not None
        found: dict[str, Any] = msgspec.json.decode(text)
        return found

    async def said(self, ref: str) -> str:
        """The outside's words that are kept under a reference."""
        return str(await self._pool.fetchval("SELECT words FROM outside_words WHERE ref = $1", ref))

    async def erase_texts(self) -> None:
        """What forgetting a seller does to their words."""
        await self._pool.execute("DELETE FROM texts")

    async def until_tasks(self, count: int) -> AsyncIterator[dict[str, Any]]:
        """The provider's tasks once there are so many."""

        async def there() -> bool:
            return len(await self.tasks()) >= count

        await eventually(there, what=f"{count} tasks at the provider")
        for task in await self.tasks():
            yield task

    async def found(self, job: str, submission: int, task: str) -> None:
        """What the web process does when a callback tells of a task."""
        key = f"accept:{job}:{submission}:{task}"
        await self.ledger.execute(c.RecordAccepted(job, submission, task), key=key)
        await self.publish()

    async def finished_at_the_provider(self) -> None:
        """Until the provider has rendered all tasks."""

        async def rendered() -> bool:
            return all(task["state"] != "open" for task in await self.tasks())

        await eventually(rendered, what="all tasks rendered")

    async def tasks(self) -> list[dict[str, Any]]:
        """The provider's accepted tasks."""
        book = await self.sandbox.get("/__sandbox/book")
        found: list[dict[str, Any]] = book["kie"]["tasks"]
        return found

    async def audit(self, credits: int = 1000) -> None:
        """Every charged job has one outcome, the balance agrees, no submission was made twice."""
        assert await self.ledger.read.open_jobs() == []
        spent = 0
        submissions = 0
        for recorded in await self.ledger.read.events_after(0, 100_000):
            event = decode(recorded)
            match event:
                case e.JobSucceeded():
                    spent += 1
                case e.SubmissionIntended():
                    submissions += 1
                case _:
                    pass
        state = await self.ledger.read.account(await self.account())
        assert state.balance == credits - spent
        breaks = await self._pool.fetchval("SELECT count(*) FROM audit.chain_breaks")
        assert breaks == 0
        asked = Counter(task["callBackUrl"] for task in await self.tasks())
        assert all(count == 1 for count in asked.values()), asked
        assert sum(asked.values()) <= submissions

    async def nothing_pending(self) -> None:
        """Every entry was acknowledged."""

        async def none() -> bool:
            pending: Any = await self.redis.xpending(JOBS, GENERATION)
            return int(pending["pending"]) == 0

        await eventually(none, what="all entries acknowledged")
