"""A provider, a writer and a blob store that answer at once: what is left is our own machinery.

`python -m tests.bench.instant` is a worker process with these.
"""

import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import sha256
from typing import Any, cast

import asyncpg
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from services.accounts.personal_data import PersonalData
from services.adapters.kie.envelope import TaskRecord
from services.adapters.kie.gateway import Kie
from services.adapters.openai.prompt_writer import ScriptWriter
from services.generation.catalogue import load_catalogue
from services.generation.prompts.scripts import Script, ScriptForm
from services.generation.provider_limits import ProviderLimits, ProviderRates
from services.platform.blobs import BlobStore, StoredBlob
from services.platform.database import create_pool
from services.platform.process import Runtime, run_service
from services.platform.redis import blocking_client, command_client
from services.platform.settings import Settings, load_settings
from services.streams.consumer.read import BLOCK_S
from services.worker.context import Timing, WorkerContext
from services.worker.store import JobStore
from services.worker.worker import Worker

_VIDEO = b"video"


class InstantAccount:
    """An account whose tasks are done as soon as they are made."""

    async def create_task(self, model: str, fields: dict[str, Any], callback_url: str | None) -> str:
        return secrets.token_hex(16)

    async def read_task(self, task: str) -> TaskRecord:
        return TaskRecord(task, "success", "success", ("https://example.org/video.mp4",))

    async def is_normal(self, model: str) -> bool | None:
        return True

    async def upload(self, data: bytes, file_name: str) -> str:
        return "https://example.org/photo.jpg"


class InstantProvider:
    """Renders nothing, at once."""

    def client(self, account: str) -> InstantAccount:
        return InstantAccount()

    async def fetch(self, url: str, key: str) -> StoredBlob:
        return StoredBlob(key, sha256(_VIDEO).hexdigest(), len(_VIDEO))


class InstantWriter:
    async def write(self, form: ScriptForm, request: str, photo: bytes) -> Script:
        return {name: "a blue mug on a table" for name in form.schema["properties"]}


class NoBlobs:
    """One photo under every key; no video is ever there yet."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_bytes_max: int) -> StoredBlob:
        return StoredBlob(key, "", 0)

    async def get(self, key: str) -> bytes:
        return b"photo"

    async def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        yield b"photo"

    async def size_bytes(self, key: str) -> int | None:
        return None

    async def delete(self, key: str) -> None:
        return None

    async def delete_partial(self, age_s: float) -> None:
        return None


UNLIMITED = ProviderRates(creations=1_000_000, in_flight_max=1_000_000, reads_per_s=1_000_000)


async def instant_tools(ledger: Ledger, pool: "asyncpg.Pool[asyncpg.Record]", redis: Redis) -> WorkerContext:
    """A worker's tools with an outside world that answers at once."""
    return WorkerContext(
        worker="bench",
        store=JobStore(ledger, PersonalData(pool)),
        blobs=cast(BlobStore, NoBlobs()),
        provider=cast(Kie, InstantProvider()),
        accounts=["k1"],
        limits=ProviderLimits(redis, UNLIMITED),
        writer=cast(ScriptWriter, InstantWriter()),
        catalogue=load_catalogue(),
        timing=Timing(poll_s=0.1),
        callback_url=lambda job, submission: None,
    )


async def serve(settings: Settings) -> None:
    """The worker's process; see services.worker.main."""
    async with Runtime(settings, "worker") as runtime, AsyncExitStack() as stack:
        pool = await create_pool(settings, "worker")
        stack.push_async_callback(pool.close)
        ledger = await stack.enter_async_context(Ledger(settings.require_database_url(), pool))
        redis = await stack.enter_async_context(command_client(settings))
        blocking = await stack.enter_async_context(blocking_client(settings, BLOCK_S))
        tools = await instant_tools(ledger, pool, redis)
        worker = Worker(tools, redis, blocking, slots=settings.worker_slots, lease_s=settings.lease_seconds)
        runtime.spawn(worker.run(runtime.stop), "worker")
        runtime.ready()
        await runtime.wait()


if __name__ == "__main__":
    sys.exit(run_service(serve, load_settings(), "worker"))
