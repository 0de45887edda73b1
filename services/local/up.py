"""`neurocards up`: everything on this machine, until Ctrl-C or terminal's end."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, ParamSpec

import structlog

from services.local.data_dir import DataFolder
from services.local.databases import Databases
from services.local.processes import free_port, port_is_free
from services.local.supervisor import Spec, Supervisor
from services.local.warm_parent import SUPPORTED, WarmParent
from services.migrations.logins import SERVICES, owner_connection
from services.platform.endpoints import COMPANIES
from services.platform.errors import StartError
from services.platform.outage_log import OutageLog
from services.platform.parent_death import end_at_once, hangup_is_ignored
from services.platform.settings import Settings, environment_of
from services.recovery import checkpoint_files

logger = structlog.get_logger()


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOOK_AT_TERMINAL_S: Final = 0.5
_TELL_AGAIN_S: Final = 5.0
P = ParamSpec("P")
_PORTS = {"sandbox_port": "sandbox_host", "web_port": "web_host", "dashboard_port": "dashboard_host"}


@dataclass(frozen=True)
class Options:
    workers: int = 1
    infra_only: bool = False


class Up:
    """One run. `ready` is called with addresses and process ids once everything is up, `step` on the way."""

    def __init__(
        self,
        settings: Settings,
        options: Options,
        say: Callable[[str], None],
        ready: Callable[[dict[str, Any]], None],
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = DataFolder(settings.data_dir)
        self._options = options
        self._say = whoever_hears(say)
        self._ready = whoever_hears(ready)
        self._step = whoever_hears(step)
        self._settings = settings
        self._supervisor: Supervisor | None = None
        self._parent: WarmParent | None = None
        self._stop = asyncio.Event()
        self._asked = 0
        self._link: str | None = None

    async def run(self) -> None:
        """Until a signal. Raises StartError when something cannot start; then nothing is left running."""
        self._folder.prepare()
        with self._folder.lock():
            self._catch_signals()
            terminal = asyncio.create_task(self._stop_without_terminal(), name="terminal")
            if not self._options.infra_only:
                self._settings = self._with_free_ports(self._settings)
                if SUPPORTED:  # it imports while the databases start
                    self._parent = WarmParent(self._folder.log_path("warm_parent"), environment_of("parent"))
            self._ensure_signing_key()
            databases = Databases(self._settings, self._folder)
            try:
                self._step("starting the databases")
                await databases.start()
                if not self._stop.is_set():
                    await self._run_on(databases)
            finally:
                await databases.stop()
                terminal.cancel()
                if self._parent:
                    self._parent.close()

    async def _run_on(self, databases: Databases) -> None:
        self._step("preparing the tables")
        await databases.migrate()
        self._step("starting the services")
        stages = [] if self._options.infra_only else self._stages(databases)

        news = asyncio.Event()
        changed = news.set
        teller = asyncio.create_task(self._keep_telling(databases, news), name="tell")
        keeper = asyncio.create_task(databases.keep_running(changed), name="keep databases")
        try:
            async with Supervisor(stages, self._folder, self._say, changed, self._parent) as supervisor:
                self._supervisor = supervisor
                start = asyncio.create_task(supervisor.start())
                await self._first_of(start, keeper)
                if not self._stop.is_set():
                    if stages:
                        self._link = await first_link(self._settings, databases.owner_url)
                    self._ready(self._tell(databases))
                    await self._first_of(keeper)
                start.cancel()
                self._say("stopping…")
        finally:
            for task in (keeper, teller):
                task.cancel()
            await asyncio.gather(keeper, teller, return_exceptions=True)

    def _ensure_signing_key(self) -> None:
        if not checkpoint_files.signing_keys(self._settings):
            path = checkpoint_files.made_here(self._settings)
            path.parent.mkdir(exist_ok=True, mode=0o700)
            name = self._settings.log_name or checkpoint_files.DEFAULT_NAME
            checkpoint_files.make_key(path, name)

    async def _first_of(self, *tasks: "asyncio.Task[None]") -> None:
        """Until the first task ends or we are told to stop. Raises the task's error."""
        stop = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stop.cancel()

    def _stages(self, databases: Databases) -> list[list[Spec]]:
        settings = self._settings
        shared = {
            "REDIS_URL": databases.redis_url,
            "NEUROCARDS_DATA_DIR": str(self._folder.root),
            "SANDBOX_PORT": str(settings.sandbox_port),
            "WEB_PORT": str(settings.web_port),
            "DASHBOARD_PORT": str(settings.dashboard_port),
            "DASHBOARD_OPEN_LINKS": str(settings.uses_sandbox_for("telegram")).lower(),
            "HEALTH_PORT": "0",
            "LOG_FORMAT": settings.log_format,
            "KIE_ACCOUNTS": str(settings.kie_accounts or len(settings.kie_keys)),
        }
        stages = []
        if settings.needs_sandbox:
            stages.append([_spec("sandbox", "sandbox", shared)])
        specs = []
        for service in SERVICES:
            count = self._options.workers if service == "worker" else 1
            names = [service] if count == 1 else [f"{service}-{n}" for n in range(1, count + 1)]
            own = {"DATABASE_URL": databases.login_url(service)}
            specs += [_spec(name, service, shared | own) for name in names]
        stages.append(specs)
        return stages

    async def _keep_telling(self, databases: Databases, news: asyncio.Event) -> None:
        """Write down who runs whenever that changes; a full disk is waited for."""
        outage = OutageLog(str(self._folder.addresses))
        while True:
            await news.wait()
            news.clear()
            try:
                self._tell(databases)
                outage.over()
            except OSError as error:
                outage.met(error)
                news.set()
                await asyncio.sleep(_TELL_AGAIN_S)

    def _tell(self, databases: Databases) -> dict[str, Any]:
        settings, all_of_it = self._settings, not self._options.infra_only
        chat = all_of_it and settings.uses_sandbox_for("telegram")
        facts = {
            "database_url": databases.login_url("operator"),
            "database_owner_url": databases.owner_url,
            "redis_url": databases.redis_url,
            "web_url": settings.public_base if all_of_it else None,
            "dashboard_url": settings.dashboard_base if all_of_it else None,
            "dashboard_link": self._link,
            "chat_url": f"{settings.sandbox_base}/" if chat else None,
            "sandbox_url": settings.sandbox_base if all_of_it and settings.needs_sandbox else None,
            "sandbox_for": [name for name in COMPANIES if settings.uses_sandbox_for(name)],
            "embedded": databases.embedded,
            "data": str(self._folder.root),
            "pid": os.getpid(),
            "pids": databases.pids() | (self._supervisor.pids() if self._supervisor else {}),
        }
        fresh = self._folder.addresses.with_suffix(".new")
        fresh.write_text(json.dumps(facts), encoding="utf-8")
        fresh.chmod(0o600)
        fresh.replace(self._folder.addresses)
        return facts

    def _with_free_ports(self, settings: Settings) -> Settings:
        """Fix ports before processes listen on them: others are told the address.

        0 becomes a free one; so does a default that is taken. A configured one that is taken is an error.
        """
        chosen: dict[str, int] = {}
        for field, host_field in _PORTS.items():
            port, host = getattr(settings, field), getattr(settings, host_field)
            if port and port_is_free(host, port):
                continue
            if port and field in settings.model_fields_set:
                raise StartError(
                    f"{field.upper()}: port {port} is taken by another program; set another, or 0"
                )
            chosen[field] = free_port(host)
            if port:
                self._say(f"port {port} is taken by another program; using {chosen[field]} ({field.upper()})")
        return settings.replace(**chosen) if chosen else settings

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signum in STOP_SIGNALS:
            loop.add_signal_handler(signum, self._signalled)
        if not hangup_is_ignored():  # no word of a person: a closing terminal sends several
            loop.add_signal_handler(signal.SIGHUP, self._stop.set)

    def _signalled(self) -> None:
        self._asked += 1
        if self._asked > 1:  # no more patience; the databases' guards end them
            if self._supervisor:
                self._supervisor.kill()
            end_at_once(130)
        self._stop.set()

    async def _stop_without_terminal(self) -> None:
        await terminal_gone()
        self._stop.set()


async def first_link(settings: Settings, owner_url: str) -> str | None:
    """One-time link for the dashboard's owner; None once somebody has a password."""
    from services.dashboard.users import invite, link_address, nobody_has_a_password

    async with owner_connection(owner_url) as connection:
        if not await nobody_has_a_password(connection):
            return None
        return link_address(settings, await invite(connection, "owner", "owner"))


def _spec(name: str, service: str, shared: dict[str, str]) -> Spec:
    command = [sys.executable, "-m", "services.cli", "serve", service, "--no-env-file"]
    return Spec(name, command, environment_of(service, shared | {"INSTANCE_NAME": name}))


async def terminal_gone() -> None:
    """Return when our terminal is gone; never without one or with ignored hangup.

    A hangup reaches the leader of the terminal's session first. A shell passes it on; `make` keeps it to
    itself and waits for its children, which would run on for ever unseen.
    """
    tty = None
    with contextlib.suppress(OSError):  # there is none
        tty = None if hangup_is_ignored() else os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    if tty is None:
        await asyncio.Event().wait()
        return
    try:
        while os.isatty(tty):
            await asyncio.sleep(LOOK_AT_TERMINAL_S)
    finally:
        os.close(tty)


def whoever_hears(tell: Callable[P, None]) -> Callable[P, None]:
    """Ignore a closed terminal or pipe when `tell` writes to it."""

    def told(*words: P.args, **more: P.kwargs) -> None:
        with contextlib.suppress(OSError):
            tell(*words, **more)

    return told
