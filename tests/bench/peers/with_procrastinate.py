"""procrastinate (https://procrastinate.readthedocs.io): asynchronous, 20 jobs at once, woken by NOTIFY."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import procrastinate

from tests.bench.peers import job_queue

blueprint = procrastinate.Blueprint()


@blueprint.task(name="nothing")
async def nothing() -> None:
    return


@blueprint.task(name="note")
async def note(asked_s: float) -> None:
    job_queue.note(asked_s)


def _app(servers: job_queue.Servers) -> procrastinate.App:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=servers.postgres, max_size=8))
    app.add_tasks_from(blueprint, namespace="bench")
    return app


class ProcrastinateQueue:
    def __init__(self, app: procrastinate.App) -> None:
        self._app = app
        self._nothing, self._note = app.tasks["bench:nothing"], app.tasks["bench:note"]

    async def enqueue(self) -> None:
        await self._nothing.defer_async()

    async def enqueue_noted(self, asked_s: float) -> None:
        await self._note.defer_async(asked_s=asked_s)

    async def left(self) -> int:
        row = await self._app.connector.execute_query_one_async(
            "SELECT count(*) AS left FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        )
        return int(row["left"])


@asynccontextmanager
async def connect(servers: job_queue.Servers) -> AsyncIterator[ProcrastinateQueue]:
    app = _app(servers)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield ProcrastinateQueue(app)


def work(servers: job_queue.Servers) -> None:
    logging.getLogger("procrastinate").setLevel(logging.WARNING)

    async def run() -> None:
        app = _app(servers)
        async with app.open_async():
            await app.run_worker_async(concurrency=20)

    asyncio.run(run())
