"""Runtime of every process: signals, supervised tasks, health, shutdown.

    async def serve(settings: Settings) -> None:
        async with Runtime(settings, "relay") as runtime:
            pool = await create_pool(settings, "relay")
            runtime.health.check("postgres", lambda: pool.fetchval("SELECT 1"))
            runtime.spawn(publish(runtime.stop), "publish")
            runtime.ready()
            await runtime.wait()

SIGTERM or SIGINT sets `stop`; a second one ends the process at once, and so does a timeout. SIGHUP only sets
`stop`, however often it comes (a closing terminal sends several); ignored (`nohup`) it stays so. A task that
fails, or ends before `stop` is set without being told it may, stops the process: its error is logged and
`wait()` raises TaskFailedError.
"""

import asyncio
import contextlib
import gc
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self

import structlog
import uvloop

from events.errors import NeurocardsError
from ledger.errors import TwoPrimariesError
from services.platform import parent_death, tracing
from services.platform.errors import SettingsError, StartError, explain
from services.platform.health import Health, serve_health
from services.platform.logs import configure_logging
from services.platform.settings import Settings
from services.platform.watchdog import watch_loop

logger = structlog.get_logger()

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STOP_GRACE_S = 4.0
"""Tasks that have not ended so long after `stop` are cancelled, unless their service needs longer."""
CLOSE_S = 5.0
"""How long the rest may take (a server that is silent while we leave it) before the process just ends."""


class TaskFailedError(NeurocardsError):
    def __init__(self, task: str, error: BaseException) -> None:
        super().__init__(f"task {task} failed: {type(error).__name__}: {error}")
        self.__cause__ = error


class Runtime:
    """One process's life, inside the running loop. Tasks may take `grace_s` to end."""

    def __init__(self, settings: Settings, service: str, *, grace_s: float = STOP_GRACE_S) -> None:
        self.service = service
        self.stop = asyncio.Event()
        """Set when the process should end: by a signal, or because a task failed."""
        self.health = Health()
        began_s = time.monotonic()
        self.health.tell(
            {
                "service": lambda: service,
                "pid": os.getpid,
                "state": self._state,
                "up_s": lambda: round(time.monotonic() - began_s, 1),
            }
        )
        self._settings = settings
        self._grace_s = grace_s
        self._tasks: dict[asyncio.Task[Any], bool] = {}
        self._failure: TaskFailedError | None = None
        self._asked = 0
        self._facts: dict[str, Any] = {"pid": os.getpid(), "service": service, "ready": False}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._catch_signals()
        port = self._settings.health_port
        if port is not None:
            server = serve_health(self.health, self._settings.health_host, port)
            try:
                address = await self._stack.enter_async_context(server)
            except OSError as error:
                raise StartError(f"HEALTH_PORT: cannot listen on port {port}: {error.strerror}") from None
            self.announce(health_url=address)
        return self

    def spawn(self, work: Coroutine[Any, Any, Any], name: str, *, may_end: bool = False) -> asyncio.Task[Any]:
        """Run `work` as a supervised task; for failures see the module."""
        task = asyncio.create_task(work, name=name)
        self._tasks[task] = may_end
        task.add_done_callback(self._task_ended)
        return task

    def announce(self, **facts: Any) -> None:
        """Tell the starter (READY_FILE) facts, e.g. the port for port 0."""
        self._facts |= facts
        path = self._settings.ready_file
        if path is not None:
            fresh = path.with_suffix(f".{os.getpid()}")
            fresh.write_text(json.dumps(self._facts), encoding="utf-8")
            fresh.replace(path)

    def ready(self) -> None:
        _spare_the_collector()
        self.health.started = True
        self.announce(ready=True)
        logger.info("service_ready", pid=os.getpid())

    async def wait(self) -> None:
        """Wait for a signal or failure, and all tasks' ends. Raises TaskFailedError."""
        await self.stop.wait()
        await self._end_tasks()
        if self._failure is not None:
            raise self._failure

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        self.health.started = False
        await self._end_tasks()
        await self._stack.aclose()
        self._forget_signals()

    def _state(self) -> str:
        if self.stop.is_set():
            return "stopping"
        return "ready" if self.health.started else "starting"

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        may_end = self._tasks.pop(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None and (may_end or self.stop.is_set()):
            return
        if error is None:
            error = RuntimeError(f"task {task.get_name()} ended by itself")
        logger.error("task_failed", task=task.get_name(), **_facts(error))
        self._failure = self._failure or TaskFailedError(task.get_name(), error)
        self.stop.set()

    async def _end_tasks(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._grace_s)
        late = list(self._tasks)
        for task in late:
            logger.warning("task_cancelled", task=task.get_name(), after_s=self._grace_s)
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signum in STOP_SIGNALS:
            if signum == signal.SIGHUP and parent_death.hangup_is_ignored():
                continue
            with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: a test runs us
                loop.add_signal_handler(signum, self._signalled, signum)

    def _forget_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signum in STOP_SIGNALS:
            with contextlib.suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(signum)

    def _signalled(self, signum: signal.Signals) -> None:
        self._asked += signum != signal.SIGHUP
        if self._asked > 1:
            logger.warning("stopped_at_once", signal=signum.name)
            parent_death.end_at_once(128 + signum)
        logger.info("stopping", signal=signum.name)
        # A thread: it ends us even when the loop hangs.
        overdue = threading.Timer(self._grace_s + CLOSE_S, _end_overdue, [self._grace_s + CLOSE_S])
        overdue.daemon = True
        overdue.start()
        self.stop.set()


def _spare_the_collector() -> None:
    """Spare the garbage collector: it took a fifth of a loaded worker's time.

    What is garbage now stays: looking for it would touch, and so copy, what a warm parent's children share.
    """
    gc.freeze()
    gc.set_threshold(20_000, 10, 20)


def _facts(error: BaseException) -> dict[str, Any]:
    reason = explain(error)
    return {"exc_info": error} if reason is None else {"reason": reason}


def _end_overdue(after_s: float) -> None:
    logger.error("stop_overdue", after_s=after_s)
    parent_death.end_at_once(1)


def _exit_code(error: BaseException) -> int:
    """2: our settings; 78 (EX_CONFIG): they lead to an old primary."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TwoPrimariesError):
            return 78
        cause = cause.__cause__
    return 2 if isinstance(error, SettingsError) else 1


def run_service(serve: Callable[[Settings], Awaitable[None]], settings: Settings, service: str) -> int:
    """Run one process to its end; its exit code. Deliberate errors are one log line."""
    configure_logging(settings, service)
    tracing.set_up(settings, service)
    os.umask(0o077)  # photos and videos are their owners'
    parent_death.hold()

    async def main() -> None:
        with watch_loop():
            await serve(settings)

    try:
        uvloop.run(main())
    except NeurocardsError as error:
        logger.error("service_failed", reason=str(error), kind=type(error).__name__)
        return _exit_code(error)
    except Exception as error:
        logger.error("service_failed", kind=type(error).__name__, **_facts(error))
        return 1
    except KeyboardInterrupt:  # before the signals were ours
        return 130
    finally:
        tracing.close()
    logger.info("service_stopped")
    return 0
