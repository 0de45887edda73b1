"""`/machinery`: streams, readers, read models, workers, provider, models, backups, integrity."""

import asyncio
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from ledger.sql import load_queries
from projections.engine.registry import PROJECTIONS
from services.dashboard.pages.home import PARKED, accounts_of
from services.dashboard.routes import Route
from services.dashboard.visit import Visit
from services.generation.provider_limits import ProviderRates
from services.operations.models import model_rows
from services.streams.status import stream_status

query = load_queries("services.dashboard")

BACKUPS: Final = 10
OPEN_MAX: Final = 500
"""Unfinished jobs that are looked at."""


class Backup(msgspec.Struct, frozen=True):
    """What is shown of a backup.json (services/backup/repository.py) or a checked.json."""

    ended_at: str
    label: str = ""
    position: int = 0
    database_bytes: int = 0
    problems: list[str] = []


async def machinery(visit: Visit) -> web.Response:
    settings = visit.context.settings
    seen = await stream_status(
        visit.context.redis, visit.pool, lease_s=settings.lease_seconds, jobs_max=OPEN_MAX
    )
    accounts, waiting, _ = (None, 0, None) if seen.redis else await accounts_of(visit)
    async with visit.pool.acquire() as reader, reader.transaction(isolation="repeatable_read", readonly=True):
        row = await reader.fetchrow(query("attention"), PARKED)
        versions = await reader.fetch(query("read_models"))
    assert row is not None
    folder = settings.backup_dir or settings.data_dir / "backups"
    backups, checked = await asyncio.to_thread(_backups, folder.expanduser())
    return await visit.render(
        "machinery.html", seen=seen, versions=versions, row=row, models_read=PROJECTIONS, open_max=OPEN_MAX,
        shown={version["name"]: version for version in versions if version["active"]},
        problems=msgspec.json.decode(row["problems"] or "{}"), accounts=accounts, waiting=waiting,
        rates=ProviderRates(), creations=settings.kie_creations_per_10_s, models=await model_rows(visit.pool),
        backups=backups, checked=checked, topics="log models",
    )  # fmt: skip


def _backups(folder: Path) -> tuple[list[Backup], Backup | None]:
    """The newest backups of this machine, and what checking them found last."""
    found = (_read(path) for path in sorted(folder.glob("[0-9]*/backup.json"), reverse=True)[:BACKUPS])
    return [backup for backup in found if backup is not None], _read(folder / "checked.json")


def _read(path: Path) -> Backup | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Backup)
    except (OSError, msgspec.DecodeError):
        return None


ROUTES = (Route("GET", "/machinery", machinery),)
