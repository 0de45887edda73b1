"""The arena: every service as a process of its own, on real servers, with a sandbox for the outside.

    sellers (played by the test) ──▶ ledger ◀── monitor          Postgres   the session's, or one to kill
         ▲                            │ ▲                         Valkey     one's own, keeps nothing on disk
         │                          relay│                        sandbox    Telegram, KIE, OpenAI by HTTP
         │                            ▼ │
      Telegram ◀── notifier    workers 1…N ──▶ KIE, OpenAI ──▶ web (callbacks)

Orders are placed through the ledger as the bot does it, so no bot has to run. Deadlines, leases and pauses
are short; the code is the same. Whatever is struck, the auditor (auditor.py) has the last word.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from ledger.log import Ledger
from services.cli.demo.sandbox import Sandbox
from services.cli.demo.witness import Witness
from services.local.valkey import EmbeddedValkey
from services.shared.settings import Settings, load_settings
from services.shared.sockets import free_port
from services.shared.streams import GENERATION, JOBS
from tests.support.arena.auditor import audit, told
from tests.support.arena.evidence import Evidence
from tests.support.arena.sellers import DEADLINE_S, Order, Seller, Sellers
from tests.support.arena.strikes import Strikes
from tests.support.jobs import Jobs
from tests.support.services import CLI, ServiceProcess, Services
from tests.support.waiting import eventually

HOST = "127.0.0.1"
ODD = "tests.support.arena.odd"
PACE = {
    "LEASE_SECONDS": 1,
    "KIE_POLL_SECONDS": 0.2,
    "RETRY_BASE_SECONDS": 0.2,
    "KIE_CREATIONS_PER_10_S": 100_000,
    "USER_IN_FLIGHT_MAX": 1000,
    "SANDBOX_RENDER_SECONDS": 0.3,
}
SERVICES = ("relay", "projector", "notifier", "monitor", "web")


class Arena(Jobs):
    """Everything runs, and the test may strike. Use `opened`."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        valkey: EmbeddedValkey,
        dice: random.Random,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.dice = dice
        self.valkey = valkey
        self.strikes = Strikes(folder / "strikes")
        self.data = folder / "data"
        self._ports = {"SANDBOX_PORT": free_port(HOST), "WEB_PORT": free_port(HOST)}
        env = {
            **PACE, **self._ports,
            "DATABASE_URL": database_url, "REDIS_URL": valkey.url(), "LOG_FORMAT": "json",
            "SANDBOX_URL": f"http://{HOST}:{self._ports['SANDBOX_PORT']}",
            "NEUROCARDS_DATA_DIR": self.data, "ODD_STRIKES": folder / "strikes",
        }  # fmt: skip
        self.services = Services(folder / "services", env)
        self.settings: Settings = load_settings(
            database_url=database_url,
            redis_url=valkey.url(),
            data_dir=self.data,
            sandbox_url=env["SANDBOX_URL"],
        )
        self.running: dict[str, ServiceProcess] = {}
        self.notifier_died = False
        """Whether a send may have been cut off by the end of its sender."""
        self._note = note
        self.longest_deadline_s = 0.0
        self._stack = AsyncExitStack()

    @contextlib.asynccontextmanager
    async def opened(
        self, workers: int = 1, *, without: Sequence[str] = (), odd: bool = False, **env: Any
    ) -> AsyncIterator["Arena"]:
        """Start everything but `without`; `odd` workers can be struck by the plan. `env` is for all."""
        self.services.env |= env
        async with self._stack:
            self._stack.push_async_callback(asyncio.to_thread, self.services.end)
            await self._connect()
            await asyncio.to_thread(self._start, [name for name in SERVICES if name not in without])
            await self.workers(workers, odd=odd)
            try:
                yield self
            except BaseException as error:
                self._note(await told(self, error))
                raise

    async def _connect(self) -> None:
        http = await self._stack.enter_async_context(httpx.AsyncClient(timeout=30, trust_env=False))
        self.http = http
        self.sandbox = Sandbox(http, self.settings.sandbox_base)
        self.witness = await self._stack.enter_async_context(Witness(self.settings))
        self.ledger = await self._stack.enter_async_context(
            Ledger(self.settings.require_database_url(), self.witness.pool)
        )
        self.sellers = Sellers(self.ledger, self.witness.pool, self.settings, http, self.sandbox)

    def _start(self, names: Iterable[str]) -> None:
        self.begin("sandbox")
        self.running["sandbox"].wait_ready()
        url = f"{self.settings.sandbox_base}/__sandbox/settings"
        turned = {"small_videos": True, "rate_limit": 0, "telegram_chat_rate": 0}
        httpx.post(url, json=turned | {"callback_retry_seconds": [0.5, 1, 2, 4, 8]}, trust_env=False)
        for name in names:
            self.begin(name)
        for name in names:
            self.running[name].wait_ready()

    # Processes

    def begin(self, service: str, *, name: str | None = None, odd: bool = False, **env: Any) -> str:
        """Start one without waiting for it; its name. With ODD_… in `env` it is an odd one."""
        odd = odd or any(variable.startswith("ODD_") for variable in env)
        name = name or service
        module = ODD if odd else CLI
        self.running[name] = self.services.start(service, name=name, wait_s=None, module=module, **env)
        return name

    async def ready(self, *names: str) -> None:
        """Until they say that they are."""
        for name in names:
            await asyncio.to_thread(self.running[name].wait_ready)

    async def workers(self, count: int, *, odd: bool = False, **env: Any) -> list[str]:
        """Start so many more; their names."""
        have = len(self.worker_names)
        names = [
            self.begin("worker", name=f"worker-{have + number}", odd=odd, **env)
            for number in range(1, count + 1)
        ]
        await self.ready(*names)
        return names

    @property
    def worker_names(self) -> list[str]:
        return [name for name in self.running if name.startswith("worker")]

    def kill(self, *names: str) -> None:
        """SIGKILL."""
        for name in names:
            self.notifier_died |= name.startswith("notifier")
            self.running[name].kill()

    async def revive(self, *names: str) -> None:
        """Start again those of them that do not run, or all that do not."""
        dead = [name for name in names or self.running if not self.running[name].running]
        for name in dead:
            self.running[name].restart(wait_s=None)
        await self.ready(*dead)

    @contextlib.asynccontextmanager
    async def keeper(self) -> AsyncIterator[None]:
        """Meanwhile whoever dies is started again at once, as a supervisor does."""

        async def keep() -> None:
            while True:
                for process in self.running.values():
                    if not process.running:
                        process.restart(wait_s=None)
                await asyncio.sleep(0.05)

        keeping = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self.revive()

    def by_pid(self, pid: int) -> ServiceProcess:
        return next(process for process in self.running.values() if process.process and process.pid == pid)

    # Orders

    async def order(self, seller: Seller | None = None, **options: Any) -> Order:
        """An order as the bot places it; see Sellers.order. Without a seller by a new one."""
        self.longest_deadline_s = max(self.longest_deadline_s, options.get("deadline_s", DEADLINE_S))
        return await self.sellers.order(seller or await self.sellers.new(), **options)

    async def jobs_of(self, count: int, **options: Any) -> list[str]:
        """So many orders of one video, each by a seller of its own; the jobs."""
        orders = await asyncio.gather(*(self.order(**options) for _ in range(count)))
        return [order.jobs[0] for order in orders]

    async def all_ended(self, jobs: Iterable[str], timeout_s: float = DEADLINE_S + 20) -> None:
        """Until each has an outcome."""
        waiting = set(jobs)

        async def none_open() -> bool:
            open_jobs = {job.job for job in await self.ledger.read.open_jobs(limit=10_000)}
            return not waiting & open_jobs

        await eventually(none_open, timeout_s, interval_s=0.05, what="all jobs ended")

    async def succeeded(self, jobs: Iterable[str], *, submissions: int = 1) -> None:
        """Wait until they ended; each with a video, out of so many submissions."""
        jobs = list(jobs)
        await self.all_ended(jobs)
        for job in jobs:
            state = await self.job(job)
            assert state.outcome == "succeeded", f"job {job} {state.outcome}: {state.failure}"
            assert len(state.submissions) == submissions, f"job {job}: {len(state.submissions)} submissions"

    async def nothing_pending(self) -> bool:
        """Whether every entry was acknowledged."""
        pending: Any = await self.witness.redis.xpending(JOBS, GENERATION)
        return not pending["pending"]

    async def audit(self) -> Evidence:
        """Wait until all has come to rest; AuditFailed when a promise was broken."""
        return await audit(self)
