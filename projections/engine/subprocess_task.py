"""Subprocess with a core of its own, spoken to in JSON lines."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

LINE_BYTES_MAX = 64 * 1024 * 1024
_ROOT = str(Path(__file__).parents[2])


@asynccontextmanager
async def in_process(module: str, task: msgspec.Struct) -> AsyncIterator[AsyncIterator[bytes]]:
    """Run `python -m module` with the task on stdin; its lines. Ends with the `with`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_BYTES_MAX,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((_ROOT, os.environ.get("PYTHONPATH", "")))},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(task) + b"\n")
        await process.stdin.drain()
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        transport: Any = process._transport  # type: ignore[attr-defined]
        transport.close()


def read_task(kind: type[Any]) -> Any:
    return msgspec.json.decode(sys.stdin.buffer.readline(LINE_BYTES_MAX), type=kind)


def say(said: msgspec.Struct) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


async def gather_on(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run all to their ends; when one fails the others are stopped."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
