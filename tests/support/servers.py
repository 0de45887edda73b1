"""Real servers for tests: one Postgres per test session, one Valkey per test process."""

import asyncio
import fcntl
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from services.local import processes
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.migrations import migrate

TEMPLATE = "neurocards_template"
OPERATOR = "neurocards_operator"
"""The login of most tests: it may append everything, and in tests it owns everything too."""

_PREFIX = "neurocards-test-"
_MEMORY = Path("/dev/shm")
_MEMORY_FREE_BYTES = 1_500_000_000


def session_pid() -> int:
    """The process that lives as long as the session: pytest, or the pytest that started this worker."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def session_folder(pid: int) -> Path:
    """The session's folder, short enough for sockets; made on first use.

    In memory where there is enough of it: a test makes a database in a third of the time, and fsync is free.
    """
    for base in _bases():
        if (base / f"{_PREFIX}{pid}").exists():
            return base / f"{_PREFIX}{pid}"
    roomy = [base for base in _bases() if base != _MEMORY or _free_bytes(base) > _MEMORY_FREE_BYTES]
    folder = roomy[0] / f"{_PREFIX}{pid}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    return folder


def _bases() -> list[Path]:
    return [*([_MEMORY] if os.access(_MEMORY, os.W_OK) else []), Path(tempfile.gettempdir())]


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def end_session(pid: int) -> None:
    """Stop the session's Postgres and remove its folder, and those of sessions that were killed."""
    for folder in (found for base in _bases() for found in base.glob(f"{_PREFIX}*")):
        owner = int(folder.name.removeprefix(_PREFIX))
        if owner == pid or not processes.alive(owner):
            postmaster = processes.read_pid(folder / "postgres" / "postmaster.pid")
            if postmaster and str(folder) in processes.command_line(postmaster):
                processes.end(postmaster)
            shutil.rmtree(folder, ignore_errors=True)


async def let_operator_own(url: str) -> None:
    """Members of a superuser are none: what they append is judged all the same."""
    name = url.partition("?")[0].rpartition("/")[2]
    await _execute(url, f"ALTER DATABASE {name} OWNER TO {OPERATOR}")
    await _execute(url, f"GRANT postgres, neurocards_log TO {OPERATOR}")
    # Tests hold things for long. With one setting left no other test gives the others back.
    await _execute(url, f"ALTER ROLE {OPERATOR} RESET ALL; ALTER ROLE {OPERATOR} SET timezone = 'UTC'")


async def migrated(server: EmbeddedPostgres, database: str = "postgres") -> str:
    """Make our tables in a server of the test's own; the URL of most tests' login."""
    await migrate(server.url(database))
    await let_operator_own(server.url(database))
    return server.url(database, OPERATOR)


class SessionPostgres:
    """The session's Postgres: databases are copies of a migrated template."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    def url(self, database: str, user: str = OPERATOR) -> str:
        return self._server.url(database, user)

    @contextmanager
    def database(self) -> Iterator[str]:
        """A fresh, migrated database's URL; dropped afterwards, whoever is still connected."""
        name = f"test_{uuid.uuid4().hex}"
        # Without fsync, copying the files costs half of what copying through the WAL does.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {OPERATOR} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """A database without any of our tables."""
        name = f"empty_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} OWNER {OPERATOR}")
        try:
            yield self.url(name, "postgres")
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, sql: str) -> None:
        """As the superuser in a database that is no test's, over one connection for all tests."""
        self._loop.run_until_complete(self._execute(sql))

    async def _execute(self, sql: str) -> None:
        if self._connection is None:
            self._connection = await asyncpg.connect(self.url("postgres", "postgres"))
        await self._connection.execute(sql)

    def close(self) -> None:
        if self._connection is not None:
            self._loop.run_until_complete(self._connection.close(timeout=5))
        self._loop.close()


def session_postgres() -> SessionPostgres:
    """The session's Postgres, started by whichever test process needs it first."""
    pid = session_pid()
    folder = session_folder(pid)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sockets = folder / "run"
        sockets.mkdir(exist_ok=True)
        sockets.chmod(0o711)
        server = EmbeddedPostgres(
            folder / "postgres", sockets, folder / "postgres.log", durable=False, watched_pid=pid
        )
        made = folder / "template-made"
        if not made.exists():
            server.start()
            asyncio.run(_execute(server.url(), f"CREATE DATABASE {TEMPLATE}"))
            # 60 files less for each copy. Not our own tables: the planner would know that they are empty.
            asyncio.run(_execute(server.url(TEMPLATE), "VACUUM FULL"))
            asyncio.run(migrate(server.url(TEMPLATE)))
            asyncio.run(let_operator_own(server.url(TEMPLATE)))
            # The first connection writes a file that spares later ones much; the copies have it too.
            asyncio.run(_execute(server.url(TEMPLATE), "SELECT 1"))
            made.touch()
    return SessionPostgres(server)


def fresh_cluster(data: Path) -> None:
    """What initdb makes, in a tenth of the time: a copy of one that it has made for the session."""
    folder = session_folder(session_pid())
    pristine = folder / "pristine"
    with (folder / "pristine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not pristine.exists():
            with short_folder() as sockets:
                server = EmbeddedPostgres(pristine, sockets, folder / "pristine.log", durable=False)
                server.start()
                server.stop()
    # With its owner and modes, which Postgres insists on.
    subprocess.run(["cp", "-a", str(pristine), str(data)], check=True)


@contextmanager
def own_valkey(folder: Path, *, durable: bool = False, databases: int = 16) -> Iterator[EmbeddedValkey]:
    """A Valkey of one's own, to kill or to fill; `durable` keeps its data over restarts."""
    with short_folder() as sockets:
        server = EmbeddedValkey(
            folder / "valkey", sockets, folder / "valkey.log", durable=durable, databases=databases
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def own_postgres(folder: Path, **options: str) -> Iterator[EmbeddedPostgres]:
    """A Postgres of one's own, to kill or to set otherwise; without our tables."""
    with short_folder() as sockets:
        fresh_cluster(sockets / "data")
        server = EmbeddedPostgres(
            sockets / "data", sockets, folder / "postgres.log", durable=False, options=options
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    folder = Path(tempfile.mkdtemp(prefix="s", dir=session_folder(session_pid())))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
