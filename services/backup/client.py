"""Postgres's own backup programs, of the server's version: another one's cannot be relied on."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from services.backup.repository import BackupError
from services.local.binaries import find_client

_WORDS_SHOWN: Final = 2000


class BackupDamagedError(BackupError):
    """What was stored is not what was backed up; each of `problems` names one place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


async def base_backup(url: str, target: Path, label: str, major: int, *, sync: bool = True) -> None:
    """Copy the running server's data folder to `target`, with the WAL that makes it whole.

    Raises BackupError.
    """
    shown, password = without_password(url)
    command = [
        str(find_client("pg_basebackup", major)), f"--dbname={shown}", f"--pgdata={target}", "--format=plain",
        "--wal-method=stream", "--checkpoint=fast", "--manifest-checksums=SHA256", "--no-password",
        f"--label=neurocards {label}", *([] if sync else ["--no-sync"]),
    ]  # fmt: skip
    code, words = await _run(command, {"PGPASSWORD": password} if password else {})
    if code:
        raise BackupError(
            f"pg_basebackup ended with code {code}: {words}\n"
            "DATABASE_URL must be of a role with REPLICATION, and pg_hba.conf must let it"
        )


async def verify_backup(folder: Path, major: int) -> None:
    """Hold every file against Postgres's manifest, and read the WAL it needs. Raises BackupDamagedError."""
    command = [str(find_client("pg_verifybackup", major)), "--quiet", str(folder)]
    code, words = await _run(command, {})
    if code:
        raise BackupDamagedError([line for line in words.splitlines() if line] or [f"exit code {code}"])


def without_password(url: str) -> tuple[str, str | None]:
    """A URL that may stand in a command line, which everybody can read, and the password it had."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, None
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{host}")), unquote(parts.password)


async def _run(command: list[str], env: dict[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return process.returncode or 0, out.decode(errors="replace").strip()[-_WORDS_SHOWN:]
