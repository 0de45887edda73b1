"""A worker process that strikes itself at a named point: killed or frozen, with nothing tidied up."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from typing import Any

from services.platform.process import Runtime
from services.platform.process_ledger import open_ledger
from services.platform.settings import load_settings
from services.worker.main import make_worker
from services.worker.worker import GRACE_S
from tests.support.fork_server import Child, call


def self_killing_worker(point: str, settings: dict[str, Any], signum: int = signal.SIGKILL) -> Child:
    """Start it; it sends itself `signum` when a job first comes to `point`. Ends with this process."""
    return call(_main, point, settings, signum)


def _main(point: str, settings: dict[str, Any], signum: int) -> None:
    asyncio.run(_work(point, settings, signum))


async def _work(point: str, settings: dict[str, Any], signum: int) -> None:
    struck = False

    async def strike(name: str) -> None:
        nonlocal struck
        if name == point and not struck:
            struck = True
            os.kill(os.getpid(), signum)

    loaded = load_settings(**settings)
    async with Runtime(loaded, "worker", grace_s=GRACE_S) as runtime, AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_ledger(loaded, "worker"))
        worker = await make_worker(loaded, stack, *opened, strike)
        runtime.spawn(worker.run(runtime.stop), "worker")
        await runtime.wait()
