"""The processes of an arena: started, killed, started again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from tests.support.servers import OPERATOR
from tests.support.services import CLI, ServiceProcess, Services

ODD: Final = "tests.support.arena.odd"


def own_login(database_url: str, service: str) -> str:
    """The tests' URL as the service has it, with its rights alone."""
    return database_url.replace(OPERATOR, f"neurocards_{service}", 1)


class Processes:
    """By name: `worker-1`, `relay`, …"""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.running: dict[str, ServiceProcess] = {}
        self.notifier_died = False
        """Whether a send may have been cut off by the end of its sender."""

    def begin(
        self,
        service: str,
        *,
        name: str | None = None,
        odd: bool = False,
        before: Sequence[str] = (),
        **env: Any,
    ) -> str:
        """Start one without waiting for it; its name. With ODD_… in `env` it is an odd one."""
        odd = odd or any(variable.startswith("ODD_") for variable in env)
        name = name or service
        env.setdefault("DATABASE_URL", own_login(self.services.env["DATABASE_URL"], service))
        module = ODD if odd else CLI
        self.running[name] = self.services.start(
            service, name=name, wait_s=None, module=module, before=before, **env
        )
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
