"""PgBouncer in transaction mode before the session's Postgres: the one that is installed, or PGBOUNCER."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from services.local.embedded_server import EmbeddedServer
from services.local.system_user import server_user
from services.migrations.logins import LOGINS

SERVERS: Final = 3
"""Connections to Postgres for each login and database, whatever the number of clients."""
PREPARED: Final = (1, 21)
"""From here on it knows prepared statements."""
_OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def installed() -> Path | None:
    """It is in /usr/sbin, which not everybody has in PATH."""
    found = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    return Path(found) if found else None


def version(program: Path) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    assert found, said
    return tuple(map(int, found.groups()))


def _advised(setting: str) -> str:
    """As operators are told to set it."""
    (found,) = re.findall(rf"^ +{setting} = (.+)$", _OPERATIONS.read_text("utf-8"), re.MULTILINE)
    return str(found)


class PgBouncer(EmbeddedServer):
    """In `data`, whose path is short; as the user that the tests run Postgres as."""

    name = "PgBouncer"
    stop_signal = signal.SIGINT

    def __init__(
        self, program: Path, data: Path, postgres_url: str, log_path: Path, *, more: str = ""
    ) -> None:
        """`more` of how it connects to Postgres, e.g. as which user."""
        super().__init__(data, log_path)
        self._more = more
        self.version = version(program)
        self.pid_file = data / "pid"
        self._program = program
        self._postgres = parse_qs(urlsplit(postgres_url).query)["host"][0]

    def start(self) -> None:
        user = server_user()
        config = {
            "pool_mode": "transaction",
            "default_pool_size": SERVERS,
            "max_client_conn": 500,
            "max_prepared_statements": 200,
            "ignore_startup_parameters": _advised("ignore_startup_parameters"),
            "auth_type": "trust",
            "auth_file": self.data / "users",
            "unix_socket_dir": self.data,
            "listen_addr": "",
            "pidfile": self.pid_file,
        }
        if self.version < PREPARED:
            del config["max_prepared_statements"]
        lines = ["[databases]", f"* = host={self._postgres} {self._more}", "[pgbouncer]"]
        (self.data / "ini").write_text("\n".join([*lines, *(f"{k} = {v}" for k, v in config.items()), ""]))
        users = "".join(f'"{login}" ""\n' for login in LOGINS.values())
        (self.data / "users").write_text(users)
        if user:
            for path in (self.data, *self.data.iterdir()):
                os.chown(path, user.pw_uid, user.pw_gid)
        self._run([str(self._program), str(self.data / "ini")], user, 30)

    def url(self, database_url: str, login: str = "operator") -> str:
        """The same database, through here."""
        database = urlsplit(database_url).path.strip("/")
        return f"postgresql://neurocards_{login}@/{database}?host={quote(str(self.data), safe='/')}&port=6432"

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.pid_file.exists() and (self.data / ".s.PGSQL.6432").is_socket()
        return False
