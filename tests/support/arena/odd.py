"""`python -m tests.support.arena.odd serve worker`: the service as it is, in an odd process.

What, the environment says; the service's own code is the same as ever:

    ODD_STRIKES   a folder of strikes.py: the process kills or freezes itself at a job's named step
    ODD_CLOCK_S   its wall clock is wrong by so many seconds
    ODD_PACE      JSON {"package.module.NAME": value}: how often it looks, how much it takes at once

Steps are named `before X` and `after X`, where X is a command it appends (StartJob, RecordPrompt,
IntendSubmission, RecordAccepted, FailSubmission, FailJob, SucceedJob, HandBackJob), a call it makes (script,
upload, create_task, read_task, fetch), a text it stores (keep_text), or the acknowledgement (ack).
"""

import asyncio
import functools
import json
import os
import runpy
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from services.streams.consumer.scripts import Scripts
from services.worker import main as worker_main
from services.worker.context import WorkerContext
from services.worker.job_pool import JobPool
from services.worker.worker import Worker
from tests.support.arena.strikes import Strikes
from tests.support.wrong_clock import shift_clock

JobOf = Callable[..., str | None]


def main() -> None:
    environment = os.environ
    for name, value in json.loads(environment.get("ODD_PACE", "{}")).items():
        module, _, constant = name.rpartition(".")
        assert hasattr(import_module(module), constant), f"there is no {name}"
        setattr(import_module(module), constant, value)
    if strikes := environment.get("ODD_STRIKES"):
        put_strikes(Strikes(Path(strikes)))
    if off_s := environment.get("ODD_CLOCK_S"):
        shift_clock(int(off_s))
    runpy.run_module("services.cli", run_name="__main__", alter_sys=True)


def put_strikes(strikes: Strikes) -> None:
    """Ask at each step of every job of the worker that this process will make."""
    make = worker_main.make_worker

    @functools.wraps(make)
    async def make_and_watch(*arguments: Any, **named: Any) -> Worker:
        worker = await make(*arguments, **named)
        _watch(worker._pool._context, strikes)
        return worker

    worker_main.make_worker = make_and_watch


def _watch(tools: WorkerContext, strikes: Strikes) -> None:
    jobs: dict[str, str] = {}
    take = JobPool.take

    def take_and_remember(crew: JobPool, entry: str, fields: dict[bytes, bytes]) -> bool:
        if fields.get(b"type") == b"JobQueued":
            jobs[entry] = fields[b"job"].decode()
        return take(crew, entry, fields)

    JobPool.take = take_and_remember  # type: ignore[method-assign, assignment]

    def around(owner: object, method: str, name: str | None, job_of: JobOf) -> None:
        kind = owner if isinstance(owner, type) else type(owner)
        called: Callable[..., Awaitable[Any]] = getattr(kind, method)

        @functools.wraps(called)
        async def call(self: Any, *arguments: Any, **named: Any) -> Any:
            what = name or type(arguments[0]).__name__
            job = job_of(*arguments, **named)
            strikes.come_to(job, f"before {what}")
            answer = await called(self, *arguments, **named)
            strikes.come_to(job, f"after {what}")
            return answer

        setattr(kind, method, call)

    account = tools.provider.client(tools.accounts[0])
    around(tools.store, "append", None, lambda command, key: getattr(command, "job", None))
    around(tools.store, "keep_text", "keep_text", lambda account, body, ref: ref.removeprefix("prompt-"))
    around(tools.writer, "write", "script", _job_of_task)
    around(account, "upload", "upload", lambda data, name: name.rpartition("-")[0])
    around(account, "create_task", "create_task", lambda model, fields, url: _job_in(url))
    around(account, "read_task", "read_task", _job_of_task)
    around(tools.provider, "fetch", "fetch", _job_of_task)
    around(Scripts, "ack", "ack", lambda claim, ids: next((jobs[i] for i in ids if i in jobs), None))


def _job_of_task(*_: Any, **__: Any) -> str | None:
    """The crew names a job's task after it."""
    task = asyncio.current_task()
    name = task.get_name() if task is not None else ""
    return name.removeprefix("job-") if name.startswith("job-") else None


def _job_in(callback_url: str | None) -> str | None:
    return None if callback_url is None else callback_url.rpartition("/webhooks/kie/")[2].partition("/")[0]


if __name__ == "__main__":
    main()
