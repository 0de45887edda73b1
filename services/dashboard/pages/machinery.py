"""`/machinery`: streams, readers, read models, workers, provider, models, backups, integrity."""

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


async def machinery(visit: Visit) -> web.Response:
    settings = visit.context.settings
    seen = await stream_status(
        visit.context.redis, visit.pool, lease_s=settings.lease_seconds, jobs_max=OPEN_MAX
    )
    accounts, waiting, _ = (None, 0, None) if seen.redis else await accounts_of(visit)
    async with visit.pool.acquire() as reader, reader.transaction(isolation="repeatable_read", readonly=True):
        row = await reader.fetchrow(query("attention"), PARKED)
        versions = await reader.fetch(query("read_models"))
        backups = await reader.fetch(query("backup_runs"), BACKUPS)
    assert row is not None
    return await visit.render(
        "machinery.html", seen=seen, versions=versions, row=row, models_read=PROJECTIONS, open_max=OPEN_MAX,
        shown={version["name"]: version for version in versions if version["active"]},
        problems=msgspec.json.decode(row["problems"] or "{}"), accounts=accounts, waiting=waiting,
        rates=ProviderRates(), creations=settings.kie_creations_per_10_s, models=await model_rows(visit.pool),
        backups=backups, topics="log models",
    )  # fmt: skip


ROUTES = (Route("GET", "/machinery", machinery),)
