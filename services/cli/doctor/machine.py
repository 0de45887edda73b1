"""This machine: .env, folders, keys, embedded servers' programs, ports; Postgres and Redis."""

import difflib
import os
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import asyncpg
from dotenv import dotenv_values

from ledger.log.clock import wall_us
from ledger.sql import load_queries
from projections.verify.schema_drift import differences, open_rights
from services.cli.doctor import Check, State, fail, ok, warn
from services.generation.catalogue import load_catalogue
from services.generation.prompts import templates
from services.generation.prompts.styles import StyleError, load_styles
from services.local.binaries import POSTGRES_OLDEST, find_postgres, find_valkey
from services.local.data_dir import DataFolder
from services.local.processes import port_is_free
from services.migrations import compare
from services.platform.database import connect
from services.platform.errors import SettingsError, StartError, UnsafeDatabaseError
from services.platform.redis import check_redis, command_client
from services.platform.settings import Settings, variable_name
from services.platform.witness import WITNESS
from services.recovery import checkpoint_files

log_query = load_queries("ledger.log")

_LITTLE_DISK_BYTES = 2_000_000_000
_SAID_MAX = 3
_CLOCK_OFF_S, _CLOCK_WRONG_S = 2.0, 60.0
_EMBEDDED = "not set: `neurocards up` starts its own"


def check_env_file() -> list[Check]:
    """Names in .env that are nearly ours: a misspelt setting is silently no setting."""
    known = [variable_name(field) for field in Settings.model_fields]
    if not Path(".env").is_file():
        return [ok(".env", "no such file here; the environment and the defaults hold")]
    names = [name for name in dotenv_values(".env") if name not in known]
    near = {name: difflib.get_close_matches(name, known, n=1, cutoff=0.75) for name in names}
    checks = [
        warn(".env", f"{name} is no setting", f"did you mean {match[0]}?")
        for name, match in near.items()
        if match
    ]
    if Path(".env").stat().st_mode & 0o077:
        checks.append(warn(".env", "others can read it, and the keys in it", "chmod 600 .env"))
    return checks or [ok(".env", "every name in it is known or another program's")]


def check_folder(settings: Settings) -> Check:
    folder = DataFolder(settings.data_dir)
    nearest = next(path for path in (folder.root, *folder.root.parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        return fail("NEUROCARDS_DATA_DIR", f"{nearest} is not writable", "choose a folder you may write to")
    free = shutil.disk_usage(nearest).free
    if free < _LITTLE_DISK_BYTES:
        found = f"{folder.root}: only {free // 1_000_000} MB free"
        return warn("NEUROCARDS_DATA_DIR", found, "videos need room: free some, or choose another disk")
    used = "a `neurocards up` runs on it" if folder.in_use() else "not in use"
    return ok("NEUROCARDS_DATA_DIR", f"{folder.root}: {used}")


def check_styles() -> Check:
    """Whether the styles on offer, an owner's among them, can be made."""
    try:
        templates.check_styles(load_catalogue())
    except StyleError as error:
        return fail("styles", str(error), "mend services/generation/prompts; docs/generation.md says how")
    return ok("styles", ", ".join(load_styles()))


def check_forget_secret(settings: Settings) -> Check:
    """Without the secret, erased users who return are strangers: no debt, all gifts once more."""
    try:
        count = len(settings.forget_secrets)
    except SettingsError as error:
        name, _, reason = error.problems[0].partition(": ")
        return fail(name, reason, "keep it where you keep passwords; the bot does not start without")
    if not settings.forget_secret:
        return ok("FORGET_SECRET", "not needed: telegram is the sandbox")
    return ok("FORGET_SECRET", f"set, {count - 1} older kept" if count > 1 else "set")


def check_callback_secret(settings: Settings) -> Check:
    try:
        _ = settings.callback_key
    except SettingsError as error:
        name, _, reason = error.problems[0].partition(": ")
        return fail(name, reason, "worker, web and notifier do not start without")
    return ok("CALLBACK_SECRET", "set" if settings.callback_secret else "not needed: all is the sandbox")


def check_signing(settings: Settings) -> list[Check]:
    """Whether checkpoints are signed, with which key, and who can read it."""
    try:
        keys = checkpoint_files.signing_keys(settings)
    except SettingsError as error:
        name, _, reason = str(error).partition(":")
        return [
            fail(name, reason.strip(), "set it right, or make a key with `neurocards ledger keygen FILE`")
        ]
    path = checkpoint_files.key_path(settings)
    if not keys or path is None:
        found = "not set: no checkpoints are signed (`neurocards up` makes a key)"
        return [ok("CHECKPOINT_KEY_FILE", found)]
    found = f"{path}: signs as {keys[0].public}"
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return [warn("CHECKPOINT_KEY_FILE", f"{path} can be read by others", f"chmod 600 {path}")]
    folder = checkpoint_files.folder(settings)
    if folder.exists() and not os.access(folder, os.W_OK):
        return [fail("CHECKPOINT_DIR", f"{folder} is not writable", "choose a folder you may write to")]
    return [ok("CHECKPOINT_KEY_FILE", found)]


def check_programs(settings: Settings) -> list[Check]:
    return [
        _program("embedded Postgres", settings.database_url, lambda: find_postgres().server),
        _program("embedded Valkey", settings.redis_url, find_valkey),
    ]


def _program(name: str, url: str | None, find: Callable[[], Path]) -> Check:
    if url is not None:
        return ok(name, "not looked for: DATABASE_URL or REDIS_URL names one, or `neurocards up` runs")
    try:
        return ok(name, str(find()))
    except StartError as error:
        return fail(name, "none for this platform", str(error))


def check_ports(settings: Settings) -> list[Check]:
    if DataFolder(settings.data_dir).in_use():
        return [ok("ports", "used by the running `neurocards up`")]
    wanted = {"WEB_PORT": (settings.web_host, settings.web_port)}
    if settings.needs_sandbox:
        wanted["SANDBOX_PORT"] = (settings.sandbox_host, settings.sandbox_port)
    checks = []
    for name, (host, port) in wanted.items():
        if not port:
            checks.append(ok(name, "any free one"))
        elif port_is_free(host, port):
            checks.append(ok(name, f"{port} is free"))
        else:
            checks.append(
                warn(name, f"{port} is taken, by us or another program", "set another, or 0 for any")
            )
    return checks


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
        return (
            checks
            if checks[-1].state is State.fail
            else [*checks, await _definitions(connection), await _open_rights(connection)]
        )
    finally:
        await connection.close()


async def check_notes(settings: Settings) -> list[Check]:
    """Compare which signed notes are owed with what was delivered."""
    places = checkpoint_files.note_places(settings)
    if not places:
        found = "nobody is sent the signed notes; a note that nobody else keeps proves nothing"
        if settings.uses_sandbox_for("telegram"):
            return [ok("notes", found)]
        return [warn("notes", found, "set NOTES_MAIL_TO or NOTES_CHAT_ID; docs/auditing.md says which")]
    try:
        connection = await connect(settings, "doctor")
    except StartError:
        return []  # `check_database` has said so
    try:
        since_s = await connection.fetchval(checkpoint_files.query("notes_owed_since"), places)
    except asyncpg.UndefinedTableError:
        return []
    finally:
        await connection.close()
    if since_s:
        found = f"not delivered since {datetime.fromtimestamp(since_s, UTC):%Y-%m-%d %H:%M} UTC"
        return [warn("notes", found, "`neurocards ledger checkpoints` says which and why")]
    return [ok("notes", f"delivered to {', '.join(places)}")]


async def check_alerts(settings: Settings) -> list[Check]:
    """Say who is told when something is wrong, and whether they are."""
    if settings.alerts_chat_id is None:
        tell = ok if settings.uses_sandbox_for("telegram") else partial(warn, advice="set ALERTS_CHAT_ID")
        return [tell("alerts", "no chat is told when something is wrong")]
    try:
        connection = await connect(settings, "doctor")
    except StartError:
        return []  # `check_database` has said so
    try:
        error = await connection.fetchval(
            "SELECT max(last_error) FROM owner_alerts WHERE present <> told AND last_error <> ''"
        )
    except asyncpg.UndefinedTableError:
        return []
    finally:
        await connection.close()
    if error:
        advice = "has the chat written to the bot, and is ALERTS_CHAT_ID its id?"
        return [warn("alerts", f"Telegram does not take them: {error}", advice)]
    return [ok("alerts", "told in the chat ALERTS_CHAT_ID")]


async def check_clocks(settings: Settings) -> list[Check]:
    """Compare the database's clock with ours and the companies'."""
    if settings.database_url is None:
        return []
    try:
        connection = await connect(settings, "doctor")
    except StartError:
        return []  # `check_database` has said so
    try:
        clock_us = await connection.fetchval(log_query("clock"))
    finally:
        await connection.close()
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
