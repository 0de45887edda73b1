"""Postgres and Redis: reachable, new enough, safe, up to date."""

import asyncpg

from services.cli.doctor.check import Check, fail, ok, warn
from services.local.binaries import POSTGRES_OLDEST
from services.migrations.schema import compare
from services.platform.database import APP_ROLE, connect
from services.platform.errors import StartError, UnsafeDatabaseError
from services.platform.redis import check_redis, command_client
from services.platform.settings import Settings

_EMBEDDED = "not set: `neurocards up` starts its own"


async def check_database(settings: Settings) -> list[Check]:
    if settings.database_url is None:
        return [ok("DATABASE_URL", _EMBEDDED)]
    try:
        connection = await connect(settings, "doctor", role=None)
    except UnsafeDatabaseError as error:
        return [fail("DATABASE_URL", str(error), "set synchronous_commit=on for this database or user")]
    except StartError as error:
        return [fail("DATABASE_URL", "no connection", str(error))]
    try:
        return [await _version(connection), await _durability(connection), await _schema(connection)]
    finally:
        await connection.close()


async def _version(connection: "asyncpg.Connection[asyncpg.Record]") -> Check:
    version = connection.get_server_version()
    found = f"Postgres {version.major}.{version.minor}"
    if version.major < POSTGRES_OLDEST:
        return fail("DATABASE_URL", found, f"the ledger needs Postgres {POSTGRES_OLDEST} or newer")
    return ok("DATABASE_URL", found)


async def _durability(connection: "asyncpg.Connection[asyncpg.Record]") -> Check:
    off = [
        name for name in ("fsync", "full_page_writes") if await connection.fetchval(f"SHOW {name}") != "on"
    ]
    if off:
        return fail("durability", f"{' and '.join(off)} off", "turn on, or a power cut may lose paid credits")
    return ok("durability", "fsync and synchronous_commit are on")


async def _schema(connection: "asyncpg.Connection[asyncpg.Record]") -> Check:
    try:
        missing, unknown = await compare(connection)
    except asyncpg.UndefinedTableError:
        return fail("tables", "none of ours", "run `neurocards migrate`")
    if missing:
        return fail("tables", f"{len(missing)} migrations missing", "run `neurocards migrate`")
    if not await connection.fetchval("SELECT pg_has_role(current_user, $1, 'MEMBER')", APP_ROLE):
        return fail("tables", f"not a member of {APP_ROLE}", f"GRANT {APP_ROLE} TO this user")
    if unknown:
        return warn("tables", f"newer than this program: {', '.join(unknown)}", "run the newer version soon")
    return ok("tables", "up to date")


async def check_redis_server(settings: Settings) -> list[Check]:
    if settings.redis_url is None:
        return [ok("REDIS_URL", _EMBEDDED)]
    async with command_client(settings) as client:
        try:
            facts = await check_redis(client)
        except StartError as error:
            return [fail("REDIS_URL", "no connection", str(error))]
    checks = [ok("REDIS_URL", f"version {facts['version']}")]
    if facts["maxmemory-policy"] not in ("noeviction", "unknown"):
        advice = "set maxmemory-policy noeviction: evicted streams have to be published again"
        checks.append(warn("Redis memory", facts["maxmemory-policy"], advice))
    if facts["appendonly"] == "no":
        advice = "turn appendonly on, or every restart publishes unfinished jobs again; no credit is lost"
        checks.append(warn("Redis persistence", "appendonly is off", advice))
    return checks
