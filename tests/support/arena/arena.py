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

from ledger.log.ledger import Ledger
from ledger.sql import load_queries
from services.local.processes import free_port
from services.local.valkey import EmbeddedValkey
from services.platform.settings import Settings, load_settings
from services.rehearsal.chat_client import Message, Sandbox, open_http
from services.rehearsal.log_watch import LogWatch
from services.rehearsal.seller import finals
from services.rehearsal.verdict import Evidence
from tests.support.arena.auditor import audit, told
from tests.support.arena.processes import Processes
from tests.support.arena.sellers import DEADLINE_S, Order, Seller, Sellers, patiently
from tests.support.arena.strikes import Strikes
from tests.support.jobs import Jobs
from tests.support.services import Services
from tests.support.waiting import eventually

query = load_queries("ledger.log")

HOST = "127.0.0.1"
PACE = {
    "LEASE_SECONDS": 1,
    "KIE_POLL_SECONDS": 0.2,
    "RETRY_BASE_SECONDS": 0.2,
    "KIE_CREATIONS_PER_10_S": 100_000,
    "USER_IN_FLIGHT_MAX": 1000,
    "SANDBOX_RENDER_SECONDS": 0.3,
}
SERVICES = ("relay", "projector", "notifier", "monitor", "maintenance", "web")


class Arena(Processes, Jobs):
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
        Processes.__init__(self, Services(folder / "services", env))
        self.settings: Settings = load_settings(
            database_url=database_url,
            redis_url=valkey.url(),
            data_dir=self.data,
            sandbox_url=env["SANDBOX_URL"],
        )
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
        http = await self._stack.enter_async_context(open_http(60))
        self.http = http
        self.sandbox = Sandbox(http, self.settings.sandbox_base)
        self.log_watch = await self._stack.enter_async_context(LogWatch(self.settings))
        self.ledger = await self._stack.enter_async_context(
            Ledger(self.settings.require_database_url(), self.log_watch.pool)
        )
        self.sellers = Sellers(self.ledger, self.log_watch.pool, self.settings, http, self.sandbox)

    def _start(self, names: Iterable[str]) -> None:
        self.begin("sandbox")
        self.running["sandbox"].wait_ready()
        url = f"{self.settings.sandbox_base}/__sandbox/settings"
        turned = {"small_videos": True, "rate_limit": 0, "telegram_chat_rate": 0}
        httpx.post(
            url, json=turned | {"callback_retry_seconds": [0.5, 1, 2, 4, 8]}, trust_env=False, timeout=60
        )
        for name in names:
            self.begin(name)
        for name in names:
            self.running[name].wait_ready()

    # Orders

    async def order(self, seller: Seller | None = None, **options: Any) -> Order:
        """An order as the bot places it; see Sellers.order. Without a seller by a new one."""
        self.longest_deadline_s = max(self.longest_deadline_s, options.get("deadline_s", DEADLINE_S))
        return await self.sellers.order(seller or await self.sellers.new(), **options)

    async def jobs_of(self, count: int, **options: Any) -> list[str]:
        """So many orders of one video, each by a seller of its own; the jobs."""
        orders = await asyncio.gather(*(self.order(**options) for _ in range(count)))
        return [order.jobs[0] for order in orders]

    async def all_ended(self, jobs: Iterable[str], timeout_s: float = DEADLINE_S + 60) -> None:
        """Until each has an outcome."""
        waiting = set(jobs)

        async def none_open() -> bool:
            found = await patiently(lambda: self.ledger.read.open_jobs(limit=10_000))
            return not waiting & {job.job for job in found}

        await eventually(none_open, timeout_s, interval_s=0.05, what="all jobs ended")

    async def succeeded(self, jobs: Iterable[str], *, submissions: int = 1) -> None:
        """Wait until they ended; each with a video, out of so many submissions."""
        jobs = list(jobs)
        await self.all_ended(jobs)
        for job in jobs:
            state = await self.job(job)
            assert state.outcome == "succeeded", f"job {job} {state.outcome}: {state.failure}"
            assert len(state.submissions) == submissions, f"job {job}: {len(state.submissions)} submissions"

    async def all_made(self, jobs: Iterable[str]) -> None:
        """Each has its video out of one task, and every promise was kept."""
        jobs = sorted(jobs)
        await self.succeeded(jobs)
        assert sorted(task.job for task in await self.sandbox.tasks()) == jobs
        await self.audit()

    async def come_to_any(self, job: str, event: str) -> None:
        """Until the job's stream holds such an event."""
        await eventually(lambda: self.has(job, event), DEADLINE_S, what=f"{event} of {job}")

    async def finals(self, job: str) -> list[Message]:
        """The last words in the chat about the job's order."""
        order = next(order for order in self.sellers.orders if job in order.jobs)
        chat = self.sandbox.chat(order.seller.chat)
        await chat.look()
        return finals(chat.from_bot(), order.order, order.status_message)

    async def tasks(self) -> list[dict[str, Any]]:
        """The provider's book."""
        answer = await self.http.get(f"{self.settings.sandbox_base}/__sandbox/book")
        found: list[dict[str, Any]] = answer.json()["kie"]["tasks"]
        return found

    async def left_s(self, job: str) -> float:
        """Seconds to the job's deadline by the database's clock."""
        queued = (await self.job(job)).queued
        assert queued is not None
        now_us = await self.log_watch.pool.fetchval(query("clock"))
        return float(queued.deadline_at_us - now_us) / 1e6

    async def audit(self) -> Evidence:
        """Wait until all has come to rest; AuditFailed when a promise was broken."""
        return await audit(self)


async def often_late(arena: Arena) -> None:
    """Maintenance looks for late videos every half second, not every half minute."""
    arena.begin("maintenance", ODD_PACE='{"services.maintenance.main.LATE_S": 0.5}')
    await arena.ready("maintenance")
