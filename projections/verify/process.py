"""One walk in a process of its own, so that each has a core.

    python -m projections.verify.process   # a Task as one JSON line on stdin; Said lines on stdout

Started by `projections.verify.run` only.
"""

import os
import time
from typing import Any

import asyncpg
import msgspec
import uvloop

from events.envelope import Cursor
from projections.in_process import BROKEN_OFF, read_task, say
from projections.verify.stages import WALKS, Stage, Walked

_EVERY_S = 0.2
_NICE = 10


class Task(msgspec.Struct):
    """Which walk, and over which snapshot of which database; `gentle`: after everybody else's work."""

    stage: Stage
    url: str
    server_settings: dict[str, str]
    snapshot: str
    after: Cursor
    gentle: bool = False


class Said(msgspec.Struct, omit_defaults=True):
    """One line: how far it is, how it ended, or why it could not."""

    at: int = 0
    walked: Walked | None = None
    error: str = ""


async def walk(task: Task) -> None:
    """Do the task and say what came of it."""
    connection = await asyncpg.connect(task.url, server_settings=task.server_settings, timeout=10)
    said_at = time.monotonic()

    def progress(_: str, position: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at > _EVERY_S:
            said_at = time.monotonic()
            say(Said(at=position))

    try:
        snapshot: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}
        async with connection.transaction(**snapshot):
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{task.snapshot}'")
            say(Said(walked=await WALKS[task.stage](connection, task.after, progress)))
    finally:
        connection.terminate()


def main() -> None:
    """Read the task, do it."""
    task: Task = read_task(Task)
    if task.gentle:
        os.nice(_NICE)
    try:
        uvloop.run(walk(task))
    except BROKEN_OFF as error:
        say(Said(error=f"{type(error).__name__}: {error}"))
    except Exception as error:  # e.g. a column emptied by someone who removed its constraint
        say(Said(error=f"the log holds what no version of this program writes: {error!r}"))


if __name__ == "__main__":
    main()
