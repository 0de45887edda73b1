"""Postgres and Redis: whether what we use of them works, and what their tables tell."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg

from ledger.log.clock import wall_us
from ledger.sql import load_queries
from projections.verify.schema_drift import differences, open_rights
from services.adapters.kie.gateway import account_name
from services.cli.doctor import Check, State, fail, ok, warn
from services.cli.doctor.trials import try_database, try_redis
from services.generation.provider_limits import LATE_VIDEO_S
from services.local.binaries import POSTGRES_OLDEST
from services.migrations import compare
from services.platform.database import connect
from services.platform.errors import StartError, UnsafeDatabaseError
from services.platform.redis import WrongRedisError, check_redis, command_client
from services.platform.settings import Settings
from services.platform.witness import WITNESS
from services.recovery import checkpoint_files
from services.recovery.backup_runs import SAID, BackupStatus
from services.recovery.backup_runs import query as backup_query

log_query, generation_query = load_queries("ledger.log"), load_queries("services.generation")

_SAID_MAX = 3
_CLOCK_OFF_S, _CLOCK_WRONG_S = 2.0, 60.0
_EMBEDDED = "not set: `neurocards up` starts its own"


async def _rows(settings: Settings, sql: str, *arguments: Any) -> list[asyncpg.Record] | None:
    """None without the database or the table: `check_database` says so."""
    if settings.database_url is None:
        return None
    try:
        connection = await connect(settings, "doctor")
    except StartError:
        return None
    try:
        return await connection.fetch(sql, *arguments)
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()


async def check_database(settings: Settings) -> list[Check]:
    if settings.database_url is None:
        return [ok("DATABASE_URL", _EMBEDDED)]
    try:
        connection = await connect(settings, "doctor")
    except UnsafeDatabaseError as error:
        return [fail("DATABASE_URL", str(error), "set synchronous_commit=on for this database or user")]
    except StartError as error:
        return [fail("DATABASE_URL", "no connection", str(error))]
    try:
        steps = (_version, _durability, _temporary_files, _schema)
        checks = [await step(connection) for step in steps]
        if checks[-1].state is not State.fail:
            checks += [await _definitions(connection), await _open_rights(connection)]
        return checks + await try_database(settings, connection)
    finally:
        await connection.close()


async def check_notes(settings: Settings) -> list[Check]:
    """Compare which signed notes are owed with what was delivered."""
    places = checkpoint_files.note_places(settings)
    if not places:
        found = "nobody is sent the signed notes; a note that nobody else keeps proves nothing"
        if settings.uses_sandbox_for("telegram"):
            return [ok("notes", found)]
        advice = "set NOTES_MAIL_TO, NOTES_BUCKET or NOTES_CHAT_ID; docs/auditing.md says which"
        return [warn("notes", found, advice)]
    rows = await _rows(settings, checkpoint_files.query("notes_owed_since"), places)
    if not rows:
        return []
    if since_s := rows[0][0]:
        found = f"not delivered since {datetime.fromtimestamp(since_s, UTC):%Y-%m-%d %H:%M} UTC"
        return [warn("notes", found, "`neurocards ledger checkpoints` says which and why")]
    return [ok("notes", f"delivered to {', '.join(places)}")]


async def check_alerts(settings: Settings) -> list[Check]:
    """Say who is told when something is wrong, and whether they are."""
    if settings.alerts_chat_id is None:
        tell = ok if settings.uses_sandbox_for("telegram") else partial(warn, advice="set ALERTS_CHAT_ID")
        return [tell("alerts", "no chat is told when something is wrong")]
    told = "SELECT max(last_error) FROM owner_alerts WHERE present <> told AND last_error <> ''"
    if not (rows := await _rows(settings, told)):
        return []
    if error := rows[0][0]:
        advice = "has the chat written to the bot, and is ALERTS_CHAT_ID its id?"
        return [warn("alerts", f"Telegram does not take them: {error}", advice)]
    return [ok("alerts", "told in the chat ALERTS_CHAT_ID")]


async def check_backups(settings: Settings) -> list[Check]:
    """Say how old the last backup and the last restore drill are."""
    rows = await _rows(settings, backup_query("backup_status"))
    if not rows:
        return []
    known = BackupStatus(**rows[0])
    if known.concern:
        said, _, command = SAID[known.concern].partition(": ")
        return [warn("backups", "; ".join(known.problems[:_SAID_MAX]) or said, command)]
    if known.taken_at_s is None:
        tell = (
            ok
            if settings.uses_sandbox_for("telegram")
            else partial(warn, advice="`neurocards backup take`, daily")
        )
        return [tell("backups", "none was ever taken from here")]
    found = f"the last {(known.now_s - known.taken_at_s) / 3600:.0f} h ago"
    if known.drilled_at_s is not None and known.restore_s is not None:
        days = (known.now_s - known.drilled_at_s) / 86_400
        found += f"; restored on trial in {known.restore_s:g} s, {days:.0f} days ago"
    return [ok("backups", found)]


async def check_clocks(settings: Settings) -> list[Check]:
    """Compare the database's clock with ours and the companies'."""
    if not (rows := await _rows(settings, log_query("clock"))):
        return []
    clock_us = rows[0][0]
    others = {"this machine's": wall_us()}
    if (witness_us := WITNESS.now_us()) is not None:
        whose = "the sandbox's" if settings.uses_sandbox_for("telegram") else "outside companies'"
        others[whose] = witness_us
    off_s = {whose: (clock_us - us) / 1e6 for whose, us in others.items()}
    found = ", ".join(f"{round(seconds):+d} s against {name}" for name, seconds in off_s.items())
    worst_s = max(map(abs, off_s.values()))
    found = f"the database's clock is {found}" + ("" if witness_us else "; nobody outside told the time")
    advice = "set the wrong one right, e.g. `timedatectl set-ntp true`: docs/runbook.md, ClockInDoubt"
    if worst_s <= _CLOCK_OFF_S:
        return [ok("clocks", found)]
    return [(warn if worst_s <= _CLOCK_WRONG_S else fail)("clocks", found, advice)]


async def check_kie_keys(settings: Settings) -> list[Check]:
    """Say which keys videos wait for, and which may go."""
    rows = await _rows(settings, generation_query("keys_needed"), LATE_VIDEO_S)
    needed = {row["account"]: row for row in rows or ()}
    begin = {account_name(key) for key in settings.kie_keys}
    retiring = [account_name(key) for key in settings.kie_api_keys_retiring]
    checks = []
    for account in sorted(needed.keys() - begin - {*retiring}):
        found = f"{needed[account]['jobs']} videos may come with the key {account}, which is not set"
        advice = "set it there while doctor lists it, or they are refunded although KIE is paid"
        checks.append(fail("KIE_API_KEYS_RETIRING", found, advice))
    for account in retiring if rows is not None else ():
        if (row := needed.get(account)) is not None:
            until = f"{datetime.fromtimestamp(row['until_s'], UTC):%Y-%m-%d %H:%M} UTC"
            found = f"{account}: {row['jobs']} videos may still come with it, until {until} at the latest"
            checks.append(ok("KIE_API_KEYS_RETIRING", found))
        else:
            advice = "once every process runs with it here: take it out, restart, delete it at kie.ai"
            checks.append(warn("KIE_API_KEYS_RETIRING", f"{account}: no video waits for it", advice))
    return checks


async def _version(connection: "asyncpg.Connection[asyncpg.Record]") -> Check:
    version = connection.get_server_version()
    found = f"Postgres {version.major}.{version.micro}"  # asyncpg calls what follows the dot micro
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


async def _temporary_files(connection: "asyncpg.Connection[asyncpg.Record]") -> Check:
    limit = await connection.fetchval("SHOW temp_file_limit")
    if limit == "-1":
        advice = "set temp_file_limit for the server, e.g. 10GB: a login cannot lift it, nor have its own"
        return warn("temporary files", "unbounded: a login that only reads can fill the disk", advice)
    return ok("temporary files", f"at most {limit} of each connection")


async def _schema(connection: "asyncpg.Connection[asyncpg.Record]") -> Check:
    try:
        missing, unknown = await compare(connection)
    except asyncpg.UndefinedTableError:
        return fail("tables", "none of ours", "run `neurocards migrate`")
    if missing:
        return fail("tables", f"{len(missing)} migrations missing", "run `neurocards migrate`")
    if not await connection.fetchval("SELECT pg_has_role(current_user, $1, 'MEMBER')", "neurocards_app"):
        return fail("tables", "not a member of neurocards_app", "use one of the logins of docs/security.md")
    if unknown:
        return warn("tables", f"newer than this program: {', '.join(unknown)}", "run the newer version soon")
    return ok("tables", "up to date")


async def _definitions(connection: "asyncpg.Connection[asyncpg.Record]") -> Check:
    if said := await differences(connection):
        more = f"; and {len(said) - _SAID_MAX} more" if len(said) > _SAID_MAX else ""
        advice = (
            "who changed it? Restore with owners and rights (no --no-owner, no --no-acl), or make it again "
            "what the migrations say, as the database's owner; `neurocards ledger verify` lists all"
        )
        return fail("database's definitions", "; ".join(said[:_SAID_MAX]) + more, advice)
    return ok("database's definitions", "everything, its owners and rights, is as the migrations make it")


async def _open_rights(connection: "asyncpg.Connection[asyncpg.Record]") -> Check:
    if missing := await open_rights(connection):
        found = "rights that a superuser gives or takes are not as they should be (docs/security.md)"
        return warn("everybody's rights", found, f"as a superuser, in this database: {'; '.join(missing)}")
    return ok("everybody's rights", "only our logins connect, and few can take advisory locks")


async def check_redis_server(settings: Settings) -> list[Check]:
    if settings.redis_url is None:
        return [ok("REDIS_URL", _EMBEDDED)]
    async with command_client(settings) as client:
        try:
            facts = await check_redis(client)
        except WrongRedisError as error:
            return [fail("REDIS_URL", "leads to what is not needed", str(error))]
        except StartError as error:
            return [fail("REDIS_URL", "no connection", str(error))]
        checks = [ok("REDIS_URL", f"version {facts['version']}"), await try_redis(client)]
    if facts["maxmemory-policy"] not in ("noeviction", "unknown"):
        advice = "set maxmemory-policy noeviction: evicted streams have to be published again"
        checks.append(warn("Redis memory", facts["maxmemory-policy"], advice))
    if facts["appendonly"] == "no":
        advice = "turn appendonly on, or every restart publishes unfinished jobs again; no credit is lost"
        checks.append(warn("Redis persistence", "appendonly is off", advice))
    return checks
