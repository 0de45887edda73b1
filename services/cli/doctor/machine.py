"""This machine: .env, folders, keys, embedded servers' programs, ports."""

import difflib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from dotenv import dotenv_values

from services.cli.doctor import Check, fail, ok, warn
from services.generation.catalogue import load_catalogue
from services.generation.prompts import templates
from services.generation.prompts.styles import StyleError, load_styles
from services.local.binaries import find_postgres, find_valkey
from services.local.data_dir import DataFolder
from services.local.processes import port_is_free
from services.platform import disks
from services.platform.errors import SettingsError, StartError
from services.platform.settings import Settings, variable_name
from services.platform.settings_secrets import SECRETS
from services.recovery import checkpoint_files


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


def check_secret_files(settings: Settings) -> list[Check]:
    """Files in SECRETS_DIR whose name is no secret's: nothing reads them."""
    if settings.secrets_dir is None:
        return []
    others = sorted({file.name for file in settings.secrets_dir.iterdir()} - SECRETS.keys())
    if others:
        return [warn("SECRETS_DIR", f"no secret is called {', '.join(others)}", "see docs/security.md")]
    return [ok("SECRETS_DIR", "every file there is a secret of ours")]


def check_folders(settings: Settings) -> list[Check]:
    """Whether the data folder takes writes; each disk short of room."""
    folder = DataFolder(settings.data_dir)
    nearest = next(path for path in (folder.root, *folder.root.parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        found = f"{nearest} is not writable"
        return [fail("NEUROCARDS_DATA_DIR", found, "choose a folder you may write to")]
    looked_at = [
        ("NEUROCARDS_DATA_DIR", nearest, "videos need room: free some, or choose another disk"),
        ("BACKUP_DIR", settings.backup_dir, "free some: without room Postgres fills its own disk with WAL"),
    ]
    short = [
        warn(name, f"{there}: only {free // 1_000_000} MB free", advice)
        for name, there, advice in looked_at
        if there and (free := disks.free_bytes(there)) is not None and free < disks.LITTLE_BYTES
    ]
    used = "a `neurocards up` runs on it" if folder.in_use() else "not in use"
    return short or [ok("NEUROCARDS_DATA_DIR", f"{folder.root}: {used}")]


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
        older = len(settings.callback_keys) - 1
    except SettingsError as error:
        name, _, reason = error.problems[0].partition(": ")
        return fail(name, reason, "worker, web and notifier do not start without")
    found = "set" if settings.callback_secret else "not needed: all is the sandbox"
    return ok("CALLBACK_SECRET", f"{found}, {older} older taken: docs/rotation.md" if older else found)


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
