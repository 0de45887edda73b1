"""Putting a restored database under a running `neurocards up`: its Postgres starts again upon it."""

import asyncio
import os
import signal
import time
from typing import Any, Final

import asyncpg

from services.backup.repository import BackupError
from services.local import processes
from services.local.data_dir import DataFolder
from services.local.postgres import RESTORED

SWAP_TIMEOUT_S: Final = 120.0


def running_postgres(folder: DataFolder) -> int | None:
    """The process id of the Postgres of the `neurocards up` that runs here; None when there is none."""
    pid = folder.running_addresses().get("pids", {}).get("postgres")
    return pid if isinstance(pid, int) and processes.alive(pid) else None


async def restart_postgres(folder: DataFolder, *, timeout_s: float = SWAP_TIMEOUT_S) -> None:
    """Stop it in good order; the supervisor starts it again. Raises BackupError when it does not."""
    facts = folder.running_addresses()
    pid = running_postgres(folder)
    if pid is None:
        raise BackupError(f"no Postgres of a `neurocards up` runs on {folder.root}")
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + timeout_s
    while not await _is_back(folder, facts, pid):
        if time.monotonic() > deadline:
            raise BackupError(f"Postgres did not come back within {timeout_s:g} s; see {folder.logs}")
        await asyncio.sleep(0.1)


async def _is_back(folder: DataFolder, facts: dict[str, Any], old_pid: int) -> bool:
    waiting = folder.postgres.with_name(f"{folder.postgres.name}.{RESTORED}").exists()
    pid = processes.read_pid(folder.postgres / "postmaster.pid")
    if waiting or pid is None or pid == old_pid:
        return False
    try:
        connection = await asyncpg.connect(str(facts["database_url"]), timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
