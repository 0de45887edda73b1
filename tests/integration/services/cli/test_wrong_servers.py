"""No command and no service answers a wrong server with a traceback: every one says in a line what to do.

Commands come from the registry, so a new one is tried too. `run` raises what nobody foresaw.
"""

import asyncio
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

import asyncpg
import pytest
from redis import Redis

from services.cli.commands.replay import actions as replaying
from services.cli.commands.serve import Service
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from tests.integration.services.cli.conftest import Done, Run, given
from tests.support import fork_server
from tests.support.cli_reference import commands
from tests.support.services import clean_environment

COMMANDS = commands()

WITHOUT_DATABASE = {
    "demo", "doctor", "drill", "serve", "up", "backup list", "backup check", "backup drill",
    "backup restore",
    "ledger keygen", "ledger public-key", "ledger verify-export", "ledger verify-proof",
    "ledger checkpoint", "ledger verify-checkpoint", "ledger compare-checkpoints", "ledger rotate-key",
    "ledger prove", "ledger cosign", "models check", "blobs migrate",
}  # fmt: skip
"""Commands that ask no server, or not before something else is there; or that are tried for themselves."""

EVERY_WAY = (
    ("jobs", "list"),  # to read
    ("credits", "grant", "4242", "1", "--reason", "r", "--yes"),  # to write
    ("streams", "status"),  # patiently
    ("replay", "balances"),  # as the owner
    ("backup", "take"),
    ("migrate",),
    ("top", "--once"),
)
"""Of all the ways to connect, one command each."""


@pytest.fixture(autouse=True)
def same_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "_make_way", lambda: None)


@pytest.fixture
def told(run: Run, redis_url: str, tmp_path: Path) -> Callable[..., Done]:
    """Runs a command that must fail with words for a person, none of them secret."""

    def one(*words: str, **env: str) -> Done:
        data = str(tmp_path / "data")
        done = run(*words, **{"REDIS_URL": redis_url, "NEUROCARDS_DATA_DIR": data, **env})
        assert done.code in (1, 2), (words, done)
        assert len(done.err.strip()) > 20 and done.err.count("\n") <= 3, (words, done.err)
        assert "hushhush" not in done.out + done.err and "Traceback" not in done.err
        return done

    return one


@pytest.fixture
def closed_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"postgresql://me:hushhush@127.0.0.1:{port}/x"


def test_without_an_answer_every_command_says_so(told: Callable[..., Done], closed_url: str):
    for words in sorted(COMMANDS.keys() - WITHOUT_DATABASE - {"migrate"}):
        done = told(*given(words), DATABASE_URL=closed_url)
        assert "Postgres does not answer at DATABASE_URL" in done.err, (words, done.err)


def test_without_our_tables_every_command_asks_to_migrate(
    told: Callable[..., Done], empty_database_url: str, database_url: str
):
    """The roles are there: another database of the same server has been migrated."""
    for words in sorted(COMMANDS.keys() - WITHOUT_DATABASE - {"migrate", "backup take"}):
        if words not in ("top", "users forget") and not words.startswith(
            "auditor "
        ):  # those are the cluster's
            done = told(*given(words), DATABASE_URL=empty_database_url)
            assert "neurocards migrate" in done.err, (words, done.err)


@pytest.fixture
def refusals(own_postgres: EmbeddedPostgres) -> dict[str, tuple[str, str]]:
    """Addresses by what is wrong with them, and a word of what a person is told."""

    async def prepare() -> None:
        hba = own_postgres.data / "pg_hba.conf"
        hba.write_text("local all locked scram-sha-256\n" + hba.read_text())
        connection = await asyncpg.connect(own_postgres.url())
        await connection.execute("CREATE ROLE locked LOGIN PASSWORD 'other'; CREATE ROLE plain LOGIN")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()

    asyncio.run(prepare())
    url = own_postgres.url()
    return {
        "password": (url.replace("postgres@", "locked:hushhush@"), "user or password"),
        "stranger": (url.replace("postgres@", "nobody@"), "user or password"),
        "database": (url.replace("/postgres?", "/nowhere?"), "does not exist; create it"),
        "rights": (url.replace("postgres@", "plain@"), "role"),
        "parameter": (f"{url}&foo=bar", 'parameter "foo"'),
        "sslmode": (f"{url}&sslmode=perhaps", "sslmode"),
        "hosts": ("postgresql:///x?host=a,b&port=1,2,3", "port"),
        "socket": ("postgresql:///x?host=/nonexistent", "does not answer"),
    }


def test_whatever_postgres_refuses_is_said(told: Callable[..., Done], refusals: dict[str, tuple[str, str]]):
    for what, (url, said) in refusals.items():
        for words in EVERY_WAY:
            if (what, words) not in {("socket", ("migrate",)), ("rights", ("migrate",))}:  # waits; may begin
                done = told(*words, DATABASE_URL=url)
                assert said in done.err or what == "rights", (what, words, done.err)


class Stranger(StreamRequestHandler):
    """Answers as a web server does."""

    def handle(self) -> None:
        self.request.recv(100)
        self.wfile.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.fixture
def stranger() -> Iterator[int]:
    """The port of a server of another kind."""
    with ThreadingTCPServer(("127.0.0.1", 0), Stranger) as server:
        Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_another_kind_of_server_is_said(told: Callable[..., Done], stranger: int, database_url: str):
    url = f"postgresql://me:hushhush@127.0.0.1:{stranger}/x"
    for words in EVERY_WAY:
        if words != ("migrate",):
            assert "Postgres does not answer" in told(*words, DATABASE_URL=url).err
    done = told("streams", "verify", REDIS_URL=f"redis://:hushhush@127.0.0.1:{stranger}/0")
    assert "Redis" in done.err


WHO = ("--reason", "r")


@pytest.mark.parametrize("words", [("streams", "status"), ("top", "--once"), ("recover", *WHO, "--yes")])
def test_whatever_redis_refuses_is_said(
    told: Callable[..., Done], own_valkey: EmbeddedValkey, words: tuple[str, ...]
):
    url = own_valkey.url()
    with Redis.from_url(url) as redis:
        redis.config_set("requirepass", "other")
    wrong = {
        url: "user or password",
        url.replace("unix://", "unix://:hushhush@"): "user or password",
        url.replace("unix://", "unix://:other@").replace("db=0", "db=99"): "DB index",
        "redis://:hushhush@127.0.0.1:1/0": "does not answer",
        "redis://:hushhush@no-such-host.invalid/0": "does not answer",
        "unix:///nonexistent": "does not answer",
        "redis://127.0.0.1:1?socket_timeout=soon": "REDIS_URL: ",
        "redis://127.0.0.1:1?colour=red": "REDIS_URL: ",
    }
    for address, said in wrong.items():
        assert said in told(*words, REDIS_URL=address).err, address


def ended(*words: str, folder: Path, **env: Any) -> "subprocess.CompletedProcess[str]":
    env = clean_environment(SANDBOX_PORT=0, WEB_PORT=0, DASHBOARD_PORT=0, LOG_FORMAT="json", **env)
    return fork_server.neurocards(words, cwd=folder, env=env)


@pytest.mark.parametrize("service", sorted(set(Service) - {Service.sandbox}))
def test_a_service_that_cannot_start_says_why_in_a_line(
    service: str, tmp_path: Path, empty_database_url: str, database_url: str, redis_url: str, closed_url: str
):
    for url, said in ((empty_database_url, "neurocards migrate"), (closed_url, "Postgres does not answer")):
        done = ended("serve", service, folder=tmp_path, DATABASE_URL=url, REDIS_URL=redis_url)
        last = done.stderr.splitlines()[-1]
        assert done.returncode == 1 and "service_failed" in last and said in last, done.stderr
        assert "Traceback" not in done.stderr and "hushhush" not in done.stderr


def test_up_says_in_a_line_what_it_lacks(tmp_path: Path, redis_url: str, closed_url: str):
    done = ended("up", folder=tmp_path, DATABASE_URL=closed_url, REDIS_URL=redis_url)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr.splitlines()[-1].startswith("Postgres does not answer") and "Traceback" not in done.stderr
    )
