"""The running `neurocards up` of this folder. Nothing else is ever struck.

It identifies itself: its lock on the folder is held, its `up.json` says that it started both servers itself,
on sockets below the folder, and that it speaks to the sandbox only. With a DATABASE_URL, a REDIS_URL or the
key of one company there is no drill.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from services.cli.demo.running import RunningStack
from services.local.folder import DataFolder
from services.shared.companies import COMPANIES
from services.shared.errors import StartError
from services.shared.settings import Settings, load_settings


class DrillRefused(StartError):
    """What runs here is not to be broken; the message says why."""


class LocalStack(RunningStack):
    """The system that runs on the settings' data folder. Raises DrillRefused."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(DataFolder(settings.data_dir))
        self._addresses = self._told()
        if (reason := refusal(self._addresses, str(self.data.socket_folder()))) is not None:
            raise DrillRefused(f"no drill on {self.data.root}: {reason}")
        self.settings = load_settings(
            database_url=self.database_url, redis_url=self.redis_url, sandbox_url=self.sandbox_url
        )

    def _told(self) -> dict[str, Any]:
        return self.data.running_addresses()


def refusal(told: dict[str, Any], sockets: str) -> str | None:
    """Why a system that says this of itself is not to be broken; None: it may be."""
    if not told:
        return "no `neurocards up` runs there; start one with `make run`"
    if set(told.get("embedded", ())) != {"Postgres", "Valkey"}:
        return "its databases are not its own: DATABASE_URL or REDIS_URL is set"
    for name in ("database_url", "redis_url"):
        if sockets not in unquote(str(told.get(name))):
            return f"{name} is not a socket below {sockets}"
    real = [company for company in COMPANIES if company not in told.get("sandbox_for", ())]
    if real:
        return f"it speaks to {', '.join(real)} for real"
    return None
