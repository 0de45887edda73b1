"""Embedded Postgres on a Unix socket, its data safe from our crashes.

A restore makes a data folder beside the one in use, `postgres.restored`. The next start takes it, and keeps
the one that was there under another name.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import structlog

from services.local import processes
from services.local.binaries import PostgresPrograms, find_postgres
from services.local.embedded_server import EmbeddedServer
from services.local.system_user import make_reachable, make_runnable, server_user
from services.platform.errors import StartError

logger = structlog.get_logger()

OWNER = "postgres"
OWNER_PASSWORD = "owner-password"  # noqa: S105
"""File in the data folder: a backup has it too, and whoever restores one is its owner."""
START_TIMEOUT_S = 60
RESTORED = "restored"
_DURABLE = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "temp_file_limit": "10GB",
}
_FORGETFUL = {
    "max_connections": "300",
    "shared_buffers": "32MB",
    "synchronous_commit": "on",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",  # it may lie in memory
    "autovacuum": "off",  # databases of seconds
    "plan_cache_mode": "force_generic_plan",  # planned once, not for each of the first five times
}


class EmbeddedPostgres(EmbeddedServer):
    """Postgres in `data`. `durable=False` (tests) skips fsync: data survives our end, not the machine's.

    With `authenticate` a new cluster asks every login for its password.
    """

    name = "Postgres"
    stop_signal = signal.SIGINT

    def __init__(
        self,
        data: Path,
        sockets: Path,
        log_path: Path,
        *,
        durable: bool = True,
        watched_pid: int = 0,
        authenticate: bool = False,
        options: Mapping[str, str] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        super().__init__(data, log_path, watched_pid=watched_pid)
        self.pid_file = data / "postmaster.pid"
        self._sockets = sockets / "pg"
        self._durable = durable
        self._authenticate = authenticate
        self._options = options or {}
        self._start_timeout_s = start_timeout_s
        self._user: pwd.struct_passwd | None = None

    def start(self) -> None:
        """Also makes the data folder, or takes a restored one."""
        programs = find_postgres()
        self.stop()
        self._user = server_user()
        if self._user:
            make_reachable(self.data, self._user.pw_gid)
            make_reachable(self._sockets, self._user.pw_gid)
            make_runnable(programs.folder, self._user)
        self._sockets.mkdir(exist_ok=True, mode=0o700)
        self._sockets.chmod(0o700)
        self._give(self._sockets)
        if (self.data / "PG_VERSION").exists():
            self._end_leftover()
        self._take_restored()
        if (self.data / "PG_VERSION").exists():
            self._check_version(programs)
        else:
            self._initialise(programs)
        self._serve(programs)

    def url(self, database: str = "postgres", user: str = OWNER, password: str = "") -> str:
        """For asyncpg and libpq. The owner's has its password, if the cluster was made with one."""
        if user == OWNER:
            with contextlib.suppress(FileNotFoundError):
                password = (self.data / OWNER_PASSWORD).read_text("ascii")
        login = f"{user}:{password}" if password else user
        return f"postgresql://{login}@/{database}?host={quote(str(self._sockets), safe='/')}"

    def _serve(self, programs: PostgresPrograms) -> None:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "jit": "off",
            "log_timezone": "UTC",
            **(_DURABLE if self._durable else _FORGETFUL),
            **self._options,
        }
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = [str(programs.server), "-D", str(self.data), *flags]
        self._run(command, self._user, self._start_timeout_s)

    def _is_ready(self) -> bool:
        """The postmaster's own word, in the last line of its pid file; a dead one may have left one."""
        with contextlib.suppress(OSError):
            lines = self.pid_file.read_text().splitlines()
            return len(lines) >= 8 and lines[7].strip() == "ready" and processes.alive(int(lines[0]))
        return False

    def _initialise(self, programs: PostgresPrograms) -> None:
        """Beside its final place, then renamed: a half-made folder is never mistaken for a whole one."""
        fresh = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        password = fresh.with_name(f"{fresh.name}-password")
        password.unlink(missing_ok=True)
        checks = ["--auth=trust"]
        if self._authenticate:
            password.touch(0o600)
            password.write_text(secrets.token_urlsafe(32), "ascii")
            self._give(password)
            checks = ["--auth=scram-sha-256", f"--pwfile={password}"]
        command = [
            str(programs.initdb), "--pgdata", str(fresh), f"--username={OWNER}", *checks,
            "--encoding=UTF8", "--locale=C", *([] if self._durable else ["--no-sync"]),
        ]  # fmt: skip
        who = (
            {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        )
        done = subprocess.run(
            command, capture_output=True, text=True, cwd="/", timeout=120, check=False, **who  # type: ignore[call-overload]
        )  # fmt: skip
        if done.returncode != 0:
            raise StartError(f"initdb could not make {fresh}: {done.stderr.strip()[-500:]}")
        if self._authenticate:
            password.rename(fresh / OWNER_PASSWORD)  # a backup has it too: whoever restores it is the owner
        if self.data.exists():
            self.data.rmdir()  # only ever an empty one; anything else is not ours to remove
        fresh.rename(self.data)

    def _check_version(self, programs: PostgresPrograms) -> None:
        stored = (self.data / "PG_VERSION").read_text().strip()
        if stored != str(programs.major):
            raise StartError(
                f"{self.data} was made by Postgres {stored}, here is {programs.major}: "
                f"pg_upgrade it, install Postgres {stored}, or set NEUROCARDS_DATA_DIR to a new folder"
            )

    def _take_restored(self) -> None:
        """Swap in a restored folder. A crash between the renames is resumed at the next start."""
        restored = self.data.with_name(f"{self.data.name}.{RESTORED}")
        if not restored.exists():
            return
        if self.data.exists():
            now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            before = self.data.with_name(f"{self.data.name}.before-{now}")
            self.data.rename(before)
            logger.warning("restored_data_taken", kept=str(before))
        restored.rename(self.data)

    def _give(self, folder: Path) -> None:
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
